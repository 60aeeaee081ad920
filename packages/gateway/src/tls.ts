import { X509Certificate } from "node:crypto";
import { accessSync, constants, unwatchFile, watchFile } from "node:fs";
import type { Server } from "node:https";
import { readTls, type TlsFiles } from "@berth/config";
import { SECOND_MS } from "@berth/contracts";
import type { Logger } from "@berth/telemetry";

/** How often the files are looked at, milliseconds: those who renew certificates replace them in many ways, links among them. */
const LOOK_MS = 2 * SECOND_MS;

/** When the first certificate of these is good no more, Unix milliseconds. */
export function expiryOf(cert: Buffer): number {
	return new X509Certificate(cert).validToDate.getTime();
}

/**
 * Takes what is put in their places, for new connections; what is wrong with it is logged, and the ones before stay.
 * @param onTaken told until when one that was taken is good, Unix milliseconds
 * @returns stops that
 */
export function followTls(
	files: TlsFiles,
	server: Server,
	log: Logger,
	onTaken: (expiresAtMs: number) => void = () => undefined,
): () => void {
	const paths = [files.certificate, files.key];
	try {
		for (const path of paths) accessSync(path, constants.R_OK);
	} catch (err) {
		log.warn({ err }, "certificate and key can be read by root alone: new ones are taken at the next start, and not before");
	}
	const take = () => {
		try {
			const tls = readTls(files);
			server.setSecureContext(tls);
			onTaken(expiryOf(tls.cert));
			log.info(files, "a new certificate was taken");
		} catch (err) {
			log.error({ err }, "certificate and key that were changed can't be taken; those before stay");
		}
	};
	for (const path of paths) watchFile(path, { interval: LOOK_MS, persistent: false }, take);
	return () => {
		for (const path of paths) unwatchFile(path, take);
	};
}
