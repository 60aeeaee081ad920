const ANSWER = "A stream is an answer that begins before its end is known.";

/** One word after the other, each as an event of `text/event-stream`: a browser reads it with `new EventSource(url)`. */
export default {
	fetch(request: Request): Response {
		const pauseMs = Math.min(1000, Number(new URL(request.url).searchParams.get("ms") ?? 50));
		const events = ReadableStream.from(tokens(ANSWER, pauseMs, request.signal));
		return new Response(events.pipeThrough(new TextEncoderStream()), {
			headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
		});
	},
};

async function* tokens(text: string, pauseMs: number, signal: AbortSignal): AsyncGenerator<string> {
	for (const [index, token] of text.split(" ").entries()) {
		// Who went away isn't generated for.
		if (signal.aborted) return;
		yield `id: ${index}\ndata: ${JSON.stringify({ token })}\n\n`;
		await new Promise((resolve) => setTimeout(resolve, pauseMs));
	}
	yield "event: done\ndata: {}\n\n";
}
