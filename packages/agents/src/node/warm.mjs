export default async (payload) => payload;
