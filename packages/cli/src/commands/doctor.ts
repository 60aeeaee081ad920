import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { examinationText } from "../render/examination.js";
import type { Session } from "../session.js";

const HELP = `
It looks at this machine and changes nothing: kernel, cgroups, programs, data
directory, Redis servers (those of a stack that is up, and those that
BERTH_*_REDIS_URL name) and the stack itself, by the settings that it was
started with, or else by those of this shell. Exit code 1 when something that is
needed is missing.

Examples:
  sudo npx berth doctor
  berth doctor --json | jq '.checks[] | select(.status != "ok")'`;

/** `berth doctor` */
export function registerDoctor({ program, action }: Registrar): void {
	program
		.command("doctor")
		.description("check this machine, and say how to mend what is missing")
		.addHelpText("after", HELP)
		.action(
			action(async (session: Session) => {
				const { examine } = await import("../doctor/examine.js");
				const examination = await examine(session.settings());
				if (session.json) session.terminal.json(examination);
				else session.terminal.print(examinationText(examination, session.terminal));
				return examination.ok ? EXIT.ok : EXIT.failed;
			}),
		);
}
