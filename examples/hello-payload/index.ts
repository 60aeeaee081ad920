interface Context {
	readonly invocationId: string;
	readonly attempt: number;
}

/** A function of its payload: what it returns is the result. */
export default async (payload: { name?: string } | undefined, ctx: Context) => {
	console.log(`greeting in attempt ${ctx.attempt} of ${ctx.invocationId}`);
	return { hello: payload?.name ?? "world" };
};
