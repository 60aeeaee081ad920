import type { Client, TransferOptions } from "@berth/client";
import type { ImageSummary, ImageTransfer } from "@berth/contracts";
import type { Command } from "commander";
import { CommandFailure, EXIT, type ExitCode } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { tableOf } from "../render/table.js";
import { TransferProgress } from "../render/transfer-progress.js";
import { bytesText, sinceText } from "../render/units.js";
import type { Session } from "../session.js";

const HELP = `
Registries and their logins are in BERTH_REGISTRIES of the stack (docs/settings.md);
\`berth doctor\` tries them. An image's labels have the function's manifest, its
environment variables included: whoever may pull it can read them. The source goes
along under a tag of its own, unless --no-source.

Examples:
  berth image push hello registry.example.com/team/hello:1
  berth image push hello:3 registry.example.com/team/hello:stable
  berth image pull registry.example.com/team/hello:1 --name hello
  berth image list`;

/** `berth image push|pull|list` */
export function registerImage(registrar: Registrar): void {
	const image = registrar.program.command("image").description("push, pull and list images of functions").addHelpText("after", HELP);
	registerPush(image, registrar);
	registerPull(image, registrar);
	registerImages(image, registrar);
}

function registerPush(image: Command, { action }: Registrar): void {
	image
		.command("push")
		.description("push a version's image to an OCI registry")
		.argument("<function[:version]>", "what to push; without a number the live version")
		.argument("<reference>", "registry/repository:tag")
		.option("--no-source", "without the source, which makes the function's builds possible elsewhere")
		.action(
			action((session: Session, { source }: { readonly source: boolean }, subject: string, reference: string) => {
				const [, name = "", version] = /^([^:]*)(?::([1-9]\d{0,8}))?$/.exec(subject) ?? [];
				if (name === "") throw new CommandFailure(EXIT.usage, `${subject} is no function or function:version, as in hello:3`);
				const input = {
					function: name,
					reference,
					...(source ? {} : { source }),
					...(version === undefined ? {} : { version: Number(version) }),
				};
				return transfer(session, (client, options) => client.pushImage(input, options));
			}),
		);
}

function registerPull(image: Command, { action }: Registrar): void {
	image
		.command("pull")
		.description("pull an image that Berth built, as a new version of a function")
		.argument("<reference>", "registry/repository:tag")
		.option("--name <name>", "function (default: the repository's last part)")
		.action(
			action((session: Session, { name }: { readonly name?: string }, reference: string) =>
				transfer(session, (client, options) => client.pullImage({ reference, ...(name === undefined ? {} : { function: name }) }, options)),
			),
		);
}

function registerImages(image: Command, { action }: Registrar): void {
	image
		.command("list")
		.alias("ls")
		.description("list the images of all versions")
		.action(
			action(async (session: Session) => {
				const { client } = await session.connect();
				const images = await client.images();
				if (session.json) session.terminal.json({ images });
				else if (images.length === 0) session.terminal.note(`There is no image. \`${session.berth} deploy <file>\` makes one.`);
				else session.terminal.print(imagesTable(images));
				return EXIT.ok;
			}),
		);
}

async function transfer(session: Session, start: (client: Client, options: TransferOptions) => Promise<ImageTransfer>): Promise<ExitCode> {
	const { terminal, json } = session;
	const { client } = await session.connect();
	const progress = json ? undefined : new TransferProgress(terminal);
	const done = await start(client, progress === undefined ? {} : { onProgress: (each) => progress.show(each) });
	if (json) terminal.json(done);
	else terminal.print(`${done.function}:${done.version} ${done.digest}`);
	if (done.lacksEnv === true)
		terminal.note("Its variables were sealed by another stack, or for another project: deploy it again with them.");
	return EXIT.ok;
}

function imagesTable(images: readonly ImageSummary[]): string {
	const now = Date.now();
	return tableOf(images, [
		{ heading: "FUNCTION", cell: (each) => each.function },
		{ heading: "VERSION", cell: (each) => String(each.version), align: "right" },
		{ heading: "DIGEST", cell: (each) => each.digest.slice(0, 19) },
		{ heading: "BASE", cell: (each) => each.base.slice(0, 19) },
		{ heading: "SIZE", cell: (each) => bytesText(each.sizeBytes), align: "right" },
		{ heading: "OWN", cell: (each) => bytesText(each.ownBytes), align: "right" },
		{ heading: "CREATED", cell: (each) => sinceText(each.createdAt, now) },
	]);
}
