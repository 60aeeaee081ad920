import type { Inventory } from "../backup/inventory.js";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { bytesText } from "../render/units.js";
import type { Session } from "../session.js";

const BACKUP_HELP = `
Functions, versions, aliases, API keys, secrets, sources, images, background invocations
and their results: all that no start makes again. The stack stays up meanwhile.
Not in it: records of interactive invocations, what each process printed, volumes.
Whoever can read it can read every key and every function: only root can.

Examples:
  sudo berth backup /srv/backups/berth-monday.tar
  sudo berth backup /srv/backups/berth-monday`;

const RESTORE_HELP = `
Of a stack that is down. Every file is checked against its digest before anything is
changed. Background invocations that were waiting then run now, perhaps again.

Examples:
  sudo berth restore /srv/backups/berth-monday.tar
  sudo berth --data /srv/berth restore --force /srv/backups/berth-monday`;

/** `berth backup <target>`, `berth restore <source>` */
export function registerBackup({ program, action }: Registrar): void {
	program
		.command("backup")
		.description("write everything of this machine's stack to a file or directory")
		.argument("<target>", "a new directory, or a new file that ends in .tar")
		.addHelpText("after", BACKUP_HELP)
		.action(
			action(async (session: Session, _options: object, target: string) => {
				const { takeBackup } = await import("../backup/take.js");
				say(session, await takeBackup(session.settings(), target), "saved");
				return EXIT.ok;
			}),
		);
	program
		.command("restore")
		.description("make the data directory what a backup says")
		.argument("<source>", "what `berth backup` wrote")
		.option("--force", "replace what is in the data directory")
		.addHelpText("after", RESTORE_HELP)
		.action(
			action(async (session: Session, { force }: { readonly force?: boolean }, source: string) => {
				const { restoreBackup } = await import("../backup/restore.js");
				say(session, await restoreBackup(session.settings(), source, force === true), "restored");
				if (!session.json) session.terminal.note("`berth up` starts it.");
				return EXIT.ok;
			}),
		);
}

function say({ terminal, json, dataDir }: Session, { files, createdAt, format }: Inventory, done: string): void {
	const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
	if (json) terminal.json({ format, createdAt, files: files.length, bytes, dataDir });
	else terminal.print(`${files.length} files, ${bytesText(bytes)}, as of ${createdAt}, are ${done}.`);
}
