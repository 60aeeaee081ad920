/** A web-standard handler: a Request in, a Response out. */
export default {
	async fetch(request: Request): Promise<Response> {
		const url = new URL(request.url);
		const name = url.searchParams.get("name") ?? (await nameInBody(request)) ?? "world";
		return Response.json({ hello: name, path: url.pathname });
	},
};

async function nameInBody(request: Request): Promise<string | undefined> {
	if (!request.headers.get("content-type")?.includes("json")) return undefined;
	const body: unknown = await request.json().catch(() => undefined);
	const name = (body as { name?: unknown } | undefined)?.name;
	return typeof name === "string" ? name : undefined;
}
