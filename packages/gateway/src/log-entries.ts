import { entryOf, type LogBook, type LogEntry, type LogLine } from "@berth/contracts";
import type { ArtifactStore } from "@berth/registry";

/** An attempt's log as it is shown. Undefined when it was removed. */
export async function logEntriesOf(book: LogBook | undefined, { logs }: Pick<ArtifactStore, "logs">): Promise<LogEntry[] | undefined> {
	const lines = book?.payload === undefined ? (book?.lines ?? []) : await linesAt(book.payload, logs);
	if (lines === undefined) return undefined;
	const after = book?.after === undefined ? undefined : await linesAt(book.after, logs);
	return [...lines.map(entryOf), ...(after ?? []).map((line) => ({ ...entryOf(line), afterAnswer: true as const }))];
}

async function linesAt(key: string, logs: ArtifactStore["logs"]): Promise<readonly LogLine[] | undefined> {
	const bytes = await logs.find(key);
	return bytes && (JSON.parse(bytes.toString()) as LogLine[]);
}
