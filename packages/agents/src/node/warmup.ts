/**
 * What a first invocation would otherwise pay for (19 ms for the web classes alone): touched while a
 * sandbox waits prewarmed, never on the way of a start.
 */
export async function warmUp(): Promise<void> {
	const request = new Request("http://function/", { method: "POST", headers: { "content-type": "application/json" }, body: '{"a":1}' });
	await request.json();
	const response = Response.json({ ok: true });
	await response.arrayBuffer();
	await new Response("text").arrayBuffer();
	// The first import pays for the loader; this one is of a module that is always there.
	await import("/berth/warm.mjs" as string);
}
