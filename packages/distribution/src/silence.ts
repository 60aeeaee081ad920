import { MIB } from "@berth/contracts";

/** How long a registry may say nothing, milliseconds: what it is sent it stores before it answers, a MiB in a second at least. */
const SILENT_MS = { asked: 20_000, perMiB: 1000, most: 120_000 } as const;
const SILENCES: readonly unknown[] = ["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"];

/** @param sentBytes of the request's body */
export function silentMsOf(sentBytes: number): number {
	return Math.min(SILENT_MS.asked + Math.floor(sentBytes / MIB) * SILENT_MS.perMiB, SILENT_MS.most);
}

/** Why no answer came, or no more of it: what follows a host in a sentence. @param what was asked for @param silentMs how long it was waited for */
export function unanswered(cause: unknown, what: string, silentMs: number): string {
	const { code, message } = cause as NodeJS.ErrnoException;
	if (SILENCES.includes(code))
		return `takes connections and said nothing for ${Math.round(silentMs / 1000)} s when it was asked for ${what}`;
	// A failed connection to a name with several addresses has its reasons inside.
	return `can't be reached for ${what}: ${message !== "" ? message : (code ?? "no connection")}`;
}
