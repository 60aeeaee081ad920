import { dirname } from "node:path";
import type { Settings } from "@berth/config";
import { anotherKeyIn } from "../another-key.js";
import type { Inventory } from "../backup/inventory.js";
import type { Restored } from "../backup/restore.js";
import type { SealedSecret } from "../backup/sealed-secrets.js";
import { EXIT } from "../exit-codes.js";
import { Interruption } from "../interruption.js";
import type { Registrar } from "../registrar.js";
import { bytesText } from "../render/units.js";
import type { Session } from "../session.js";

const BACKUP_HELP = `
Functions, versions, aliases, API keys' digests, sealed secrets, sources,
images, background invocations and their results: all that no start makes again. The stack
stays up meanwhile. Not in it: admin.key and secrets.key (keep them apart), records
of interactive invocations, what each process printed, volumes. Whoever can read it
can read every function and its variables: only root can.

Examples:
  sudo berth backup /srv/backups/berth-monday.tar
  sudo berth backup /srv/backups/berth-monday`;

const RESTORE_HELP = `
Of a stack that is down. Every file is checked against its digest before anything is
changed. Keys aren't in a backup: those in the data directory stay; what of the
backup they don't open is said. Background invocations that were waiting then run
now, perhaps again.

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
				const settings = session.settings();
				using interruption = new Interruption("interrupted: nothing was saved", () => session.terminal.note("stopping …"));
				say(session, await takeBackup(settings, target, interruption.signal), "saved");
				if (!session.json) session.terminal.note(keptApart(settings));
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
				using interruption = new Interruption("interrupted: nothing was restored", () => session.terminal.note("stopping …"));
				const settings = session.settings();
				const restored = await restoreBackup(settings, source, force === true, interruption.signal);
				say(session, restored.inventory, "restored", restored.unopenable);
				if (session.json) return EXIT.ok;
				if (restored.unopenable.length > 0) session.terminal.note(notOpened(restored, settings));
				session.terminal.note("`berth up` starts it.");
				return EXIT.ok;
			}),
		);
}

function say(
	{ terminal, json, dataDir }: Session,
	{ files, createdAt, format }: Inventory,
	done: string,
	unopenable: readonly SealedSecret[] = [],
): void {
	const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
	const unopened = done === "restored" ? { unopenable } : {};
	if (json) terminal.json({ format, createdAt, files: files.length, bytes, dataDir, ...unopened });
	else terminal.print(`${files.length} files, ${bytesText(bytes)}, as of ${createdAt}, are ${done}.`);
}

function keptApart({ secretsKey, paths }: Settings): string {
	const sealing = secretsKey === undefined ? paths.secretsKey : "BERTH_SECRETS_KEY";
	return `Not in it: ${sealing}, without which logins and secrets can't be opened elsewhere, and ${paths.adminKey}. Keep them apart from it.`;
}

/** What is sealed with another key than is here; or with one, where none is. */
function notOpened({ unopenable, keyIds }: Restored, { secretsKey, paths }: Settings): string {
	const names = `What no key here opens: ${unopenable.map(({ of }) => of).join(", ")}.`;
	const wanted = [...new Set(unopenable.map(({ keyId }) => keyId))].join(", ");
	const anew = "`berth secret set`, `berth registry set`, `berth hooks rotate`";
	if (keyIds.length === 0)
		return `${names} Put the secrets.key that it was sealed with (${wanted}) into ${dirname(paths.secretsKey)} before \`berth up\`, which makes no other while these are there; or make one, ${anotherKeyIn(paths.secretsKey)}, and set them again afterwards: ${anew}.`;
	const ours = secretsKey === undefined ? paths.secretsKey : "BERTH_SECRETS_KEY";
	return `${names} It is sealed with the key ${wanted}, and ${ours} has ${keyIds.join(", ")}: add that key to it, after the one that is there, before \`berth up\`; or set them again afterwards: ${anew}.`;
}
