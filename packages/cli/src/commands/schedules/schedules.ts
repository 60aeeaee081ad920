import type { Command } from "commander";
import { EXIT } from "../../exit-codes.js";
import type { Registrar } from "../../registrar.js";
import { schedulesTable } from "../../render/schedules.js";
import type { Session } from "../../session.js";
import { registerScheduleChanges } from "./change.js";
import { showSchedule } from "./show.js";

const HELP = `
Five fields (minute, hour, day of month, month, day of week), or six with seconds
first. docs/schedules.md says what happens when clocks change, or nobody is there.

Examples:
  berth schedules create report --cron "30 2 * * *" --tz Europe/Berlin --name nightly
  berth schedules create sync --every 15m -d '{"full":false}'
  berth schedules inspect report nightly`;

/** `berth schedules create|update|pause|resume|run|remove|list|inspect` */
export function registerSchedules(registrar: Registrar): void {
	const schedules = registrar.program
		.command("schedules")
		.description("run functions by the clock: make, look after")
		.configureHelp({ showGlobalOptions: true, subcommandTerm: (command) => command.name() })
		.addHelpText("after", HELP);
	registerScheduleChanges(schedules, registrar);
	registerViews(schedules, registrar);
}

function registerViews(schedules: Command, { action }: Registrar): void {
	schedules
		.command("list")
		.alias("ls")
		.description("list a function's schedules, with when they fire next")
		.argument("<function>", "function")
		.action(
			action(async (session: Session, _options: object, target: string) => {
				const { terminal, json } = session;
				const { client } = await session.connect();
				const found = await client.schedules(target);
				if (json) terminal.json({ schedules: found });
				else if (found.length === 0)
					terminal.note(`${target} has no schedule. \`${session.berth} schedules create ${target} --every 15m\` makes one.`);
				else terminal.print(schedulesTable(found, Date.now()));
				return EXIT.ok;
			}),
		);
	schedules
		.command("inspect")
		.description("show a schedule, its next times, and what became of the last")
		.argument("<function>", "its function")
		.argument("<schedule>", "its name")
		.action(
			action(async (session: Session, _options: object, target: string, schedule: string) => {
				const { client } = await session.connect();
				showSchedule(session, await client.schedule(target, schedule));
				return EXIT.ok;
			}),
		);
}
