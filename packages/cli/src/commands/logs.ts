import type { InvocationAnswer } from "@berth/contracts";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { logText } from "../render/problem.js";
import { durationText } from "../render/units.js";
import type { Session } from "../session.js";

/** `berth logs <invocation>` */
export function registerLogs({ program, action }: Registrar): void {
	program
		.command("logs")
		.description("print what an invocation logged, and how it ended")
		.argument("<invocation>", "its id: `berth invoke -v` and the header Berth-Invocation-Id say it")
		.addHelpText("after", "\nExample:\n  berth logs inv_01j8z0k3v5t6w7x8y9z0a1b2c3\n\n--json prints the whole record.")
		.action(
			action(async (session: Session, _options: object, id: string) => {
				const { client } = await session.connect();
				const record = await client.invocation(id);
				if (session.json) session.terminal.json(record);
				else printRecord(session, record);
				return EXIT.ok;
			}),
		);
}

function printRecord({ terminal }: Session, record: InvocationAnswer): void {
	terminal.note(terminal.style("dim", summary(record)));
	for (const line of record.logs) terminal.print(logText(line));
	if (record.removed?.includes("logs")) terminal.note("Its log was removed to make room for newer ones (BERTH_LOGS_MIB).");
	else if (record.logsTruncated) terminal.note("The log was cut at its limit.");
	else if (record.logs.length === 0) terminal.note("It logged nothing.");
}

function summary(record: InvocationAnswer): string {
	const run = record.phases === undefined ? "" : `, ran ${durationText(record.phases.runMs)}`;
	return `${record.id}  ${record.function} v${record.version}  ${record.outcome ?? record.state}${run}`;
}
