import type { X509Certificate } from "node:crypto";
import { connect } from "node:tls";

/** What who answers at a URL serves, whoever that is: nothing is sent. Undefined where nobody speaks TLS there within the time. */
export async function servedCertificate(url: string, withinMs: number): Promise<X509Certificate | undefined> {
	const { hostname, port } = new URL(url);
	const socket = connect({ host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port || 443), rejectUnauthorized: false });
	try {
		return await new Promise<X509Certificate | undefined>((resolve) => {
			// Why is said by whoever asks the gateway itself.
			const give = () => resolve(undefined);
			socket.once("secureConnect", () => resolve(socket.getPeerX509Certificate()));
			socket.once("error", give);
			socket.once("close", give);
			socket.setTimeout(withinMs, give);
		});
	} finally {
		socket.destroy();
	}
}

/** What to know one by. */
export function wordsFor({ subject, issuer, validTo, fingerprint256 }: X509Certificate): string {
	const by = subject === issuer ? "issued by itself" : `issued by ${line(issuer)}`;
	return `one for ${line(subject)}, ${by}, good until ${new Date(validTo).toISOString()}, SHA-256 ${fingerprint256}`;
}

/** A name has its parts on lines of their own, and may have none. */
function line(name: string | undefined): string {
	return name?.split("\n").join(", ") || "nobody";
}
