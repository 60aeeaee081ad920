import { readFile } from "node:fs/promises";
import type { Settings } from "@berth/config";
import type { Examination } from "../doctor/examine.js";
import { EXIT, type ExitCode } from "../exit-codes.js";
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
  berth doctor --json | jq '.checks[] | select(.status != "ok")'
  sudo berth doctor --bundle berth-monday.tgz

With --stack it looks at the stack alone, and none that is up is a failure, too:
whether its gateway is ready, and its worker known to gateways. It is what a
container's health check runs.

With --bundle all of that, settings, figures and the last lines of the
processes' logs go to a file for whoever helps you: without keys, passwords, and
what functions hold or say. Its manifest.json has what is in it and what
couldn't be had; the exit code is 0 once it is written, whatever was found.`;

/** `berth doctor` */
export function registerDoctor({ program, action }: Registrar): void {
	program
		.command("doctor")
		.description("check this machine, and say how to mend what is missing")
		.option("--bundle <file>", "write all that helps somebody to help you to a new .tgz, without secrets")
		.option("--stack", "look at nothing but whether the stack is up and takes work")
		.addHelpText("after", HELP)
		.action(
			action(async (session: Session, { bundle, stack }: { readonly bundle?: string; readonly stack?: boolean }) => {
				if (bundle !== undefined) return writeBundle(session, bundle);
				const examination = await (stack === true ? stackAlone : everything)(session.settings());
				if (session.json) session.terminal.json(examination);
				else session.terminal.print(examinationText(examination, session.terminal));
				return examination.ok ? EXIT.ok : EXIT.failed;
			}),
		);
}

async function everything(settings: Settings): Promise<Examination> {
	return await (await import("../doctor/examine.js")).examine(settings);
}

async function stackAlone(settings: Settings): Promise<Examination> {
	return await (await import("../doctor/examine-stack.js")).examineStack(settings);
}

async function writeBundle(session: Session, target: string): Promise<ExitCode> {
	const { placeOf, writeTgz } = await import("../bundle/write.js");
	const { collect } = await import("../bundle/collect.js");
	const place = placeOf(target);
	const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string };
	const { files, missing } = await collect(session.settings(), version, session.givenKey);
	await writeTgz(place, files);
	const names = Object.keys(files).sort();
	if (session.json) session.terminal.json({ bundle: place, files: names, missing });
	else {
		session.terminal.print(`${place} is written: ${names.length} files, for its owner alone. Look through it before you send it.`);
		for (const { path, why } of missing) session.terminal.note(`not in it: ${path}: ${why}`);
	}
	return EXIT.ok;
}
