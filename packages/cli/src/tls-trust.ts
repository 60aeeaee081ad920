import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { ClientOptions } from "@berth/client";
import { CommandFailure, EXIT } from "./exit-codes.js";
import { messageOf } from "./system-errors.js";

type TlsTrust = NonNullable<ClientOptions["tls"]>;

/** This machine's stack is known by its certificate itself, whatever name that is for. @throws CommandFailure */
export async function ownTrust(certificate: string): Promise<TlsTrust> {
	return { ca: await certificatesIn(certificate), isOwn: true };
}

/** Issuers that are named. @throws CommandFailure */
export async function trustOf(caFile: string): Promise<TlsTrust> {
	return { ca: await certificatesIn(caFile) };
}

async function certificatesIn(path: string): Promise<string> {
	try {
		const text = await readFile(path, "utf8");
		new X509Certificate(text);
		return text;
	} catch (error) {
		throw new CommandFailure(EXIT.usage, `${path} has no certificates in PEM that can be read: ${messageOf(error)}`);
	}
}
