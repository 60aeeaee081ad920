import { IDEMPOTENCY_KEY, type InvokingHead } from "@berth/contracts";

/** What an agent asks by `ctx.invoke`. */
export interface Asked {
	readonly head: Pick<InvokingHead, "function" | "async" | "timeoutMs" | "idempotencyKey">;
	readonly async: boolean;
	readonly contentType: string | undefined;
}

/** Long enough for any name and alias: what is longer is refused as one that isn't allowed. */
const NAME_CHARS = 256;
/** What a header may hold, in a form that JSON doesn't make longer. */
const PRINTABLE = /^[\x20-\x7e]{1,256}$/;

/** The question that nobody waits for any longer; undefined when it asks something else. */
export function abandonedIn(head: unknown): number | undefined {
	const { kind, of } = fieldsOf(head);
	return kind === "abandon" && Number.isSafeInteger(of) ? (of as number) : undefined;
}

/** The invocation that a question asks for. Names are the gateway's to judge. @throws Error when it is no such question */
export function askedIn(head: unknown): Asked {
	const { kind, function: name, async = false, timeoutMs, contentType, idempotencyKey } = fieldsOf(head);
	const isAsked =
		kind === "invoke" &&
		typeof name === "string" &&
		typeof async === "boolean" &&
		(timeoutMs === undefined || (Number.isSafeInteger(timeoutMs) && (timeoutMs as number) > 0)) &&
		(contentType === undefined || (typeof contentType === "string" && PRINTABLE.test(contentType))) &&
		(idempotencyKey === undefined || (typeof idempotencyKey === "string" && IDEMPOTENCY_KEY.test(idempotencyKey)));
	if (!isAsked) throw new Error("a question that asks for no invocation");
	return {
		head: {
			function: name.slice(0, NAME_CHARS),
			async,
			...(timeoutMs === undefined ? {} : { timeoutMs: timeoutMs as number }),
			...(idempotencyKey === undefined ? {} : { idempotencyKey: idempotencyKey as string }),
		},
		async,
		contentType: contentType as string | undefined,
	};
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
