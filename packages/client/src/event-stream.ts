/** One event of a stream (WHATWG HTML 9.2.6). */
export interface ServerEvent {
	/** `message` when it names none. */
	readonly event: string;
	/** Of this event, or of the last one that had one. */
	readonly id?: string;
	readonly data: string;
}

/** Longer than any event of ours: what has none of its line ends isn't a stream of events. */
const MOST_CHARS = 1_000_000;

/** The events in a body, as they come. An event that the stream ends in the middle of is none. @throws Error when a line has no end */
export async function* eventsIn(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
	const decoder = new TextDecoder();
	let rest = "";
	let id: string | undefined;
	let event = "";
	let data: string[] = [];
	for await (const bytes of body) {
		rest += decoder.decode(bytes, { stream: true });
		const lines = rest.split("\n");
		rest = lines.pop() ?? "";
		if (rest.length > MOST_CHARS) throw new Error(`a line of the event stream has more than ${MOST_CHARS} characters`);
		for (const line of lines) {
			if (line === "") {
				if (data.length > 0) yield { event: event || "message", ...(id === undefined ? {} : { id }), data: data.join("\n") };
				[event, data] = ["", []];
				continue;
			}
			const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? [];
			if (field === "event") event = value;
			else if (field === "data") data.push(value);
			else if (field === "id") id = value;
		}
	}
}
