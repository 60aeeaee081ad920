import type { Hook, HookEvent, HookEventDetail, HookWithSecret } from "@berth/contracts";
import { pairsOf, tableOf } from "./table.js";
import { bytesText, durationText, sinceText } from "./units.js";

/** A hook, field by field. @param url all of it */
export function hookText(hook: HookWithSecret, url: string): string {
	const { settings, events, allow } = hook;
	return pairsOf([
		["hook", `${hook.function}/${hook.name}`],
		["url", url],
		["scheme", [hook.scheme, ...Object.entries(settings).map(([field, value]) => `${field}=${value}`)].join(" ")],
		...(hook.secret === undefined ? [] : [["secret", hook.secret] as const]),
		...(hook.previousSecretUntil === undefined ? [] : [["secret before", `good until ${hook.previousSecretUntil}`] as const]),
		["invokes", `${hook.function}@${hook.alias}, ${hook.mode === "sync" ? "which answers" : `in the background: ${hook.answerStatus}`}`],
		["events", events.join(", ") || "all"],
		["lets in", `${hook.methods.join(", ")} from ${allow.join(", ") || "anywhere"}, up to ${bytesText(hook.maxBodyBytes)}`],
		...(hook.rate ? [["rate", `${hook.rate.limit} in ${hook.rate.periodMs} ms`] as const] : []),
		["duplicates", hook.duplicates === "run" ? "are run" : "get the first answer"],
	]);
}

export function hooksTable(hooks: readonly Hook[], url: string, nowMs: number): string {
	return tableOf(hooks, [
		{ heading: "HOOK", cell: (each) => each.name },
		{ heading: "SCHEME", cell: (each) => each.scheme },
		{ heading: "MODE", cell: (each) => each.mode },
		{ heading: "EVENTS", cell: (each) => each.events.join(" ") || "all" },
		{ heading: "SECRET SET", cell: (each) => sinceText(each.secretSetAt, nowMs) },
		{ heading: "URL", cell: (each) => url + each.path },
	]);
}

export function eventsTable(events: readonly HookEvent[], nowMs: number): string {
	return tableOf(events, [
		{ heading: "EVENT", cell: (each) => each.id },
		{ heading: "AT", cell: (each) => sinceText(each.at, nowMs) },
		{ heading: "OF", cell: (each) => each.event ?? "-" },
		{ heading: "RESULT", cell: becomeOf },
		{ heading: "STATUS", cell: (each) => String(each.status ?? "-"), align: "right" },
		{ heading: "INVOCATION", cell: (each) => each.invocation ?? each.reason ?? each.duplicateOf ?? "-" },
	]);
}

/** For those that come one after another. */
export function eventLine(event: HookEvent): string {
	const parts = [
		event.at.slice(11, 23),
		event.id,
		event.event ?? "-",
		becomeOf(event),
		event.status === undefined ? "" : String(event.status),
		event.durationMs === undefined ? "" : durationText(event.durationMs),
		event.invocation ?? event.reason ?? event.duplicateOf ?? "",
	];
	return oneLine(parts.filter((part) => part !== "").join("  "));
}

/** All that is known of one, with its body last. */
export function eventText(event: HookEventDetail): string {
	const { body, headers } = event;
	const optional = [
		["reason", event.reason],
		["delivery", event.deliveryId],
		["of", event.event],
		["status", event.status === undefined ? undefined : String(event.status)],
		["invocation", event.invocation],
		["duplicate of", event.duplicateOf],
		["again of", event.redeliveryOf],
		["again as", event.redeliveredAs],
	] as const;
	const pairs = pairsOf([
		["event", event.id],
		["at", event.at],
		["from", `${event.from}: ${event.method} ${event.query}`.trim()],
		["result", becomeOf(event)],
		...optional
			.filter((pair): pair is [(typeof pair)[0], string] => pair[1] !== undefined)
			.map(([name, value]) => [name, oneLine(value)] as const),
		["body", bytesText(event.bodyBytes)],
	]);
	const head = headers.map(([name, value]) => oneLine(`${name}: ${value}`)).join("\n");
	const text = body === undefined ? "(the body isn't kept)" : "text" in body ? body.text : body.base64;
	return `${pairs}\n\n${head}\n\n${text}`;
}

function becomeOf({ result, outcome, state }: HookEvent): string {
	const more = outcome ?? (state === "running" ? state : undefined);
	return more === undefined ? result : `${result}, ${more}`;
}

/** What others wrote has one line here. */
function oneLine(text: string): string {
	return text.replace(/\p{Cc}+/gu, " ");
}
