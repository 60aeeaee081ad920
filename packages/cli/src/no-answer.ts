import type { ConnectionError } from "@berth/client";
import { codeOf } from "./system-errors.js";

/** Of a certificate whose issuer isn't among those that are trusted (X509 errors, as Node's TLS names them). */
const UNKNOWN_ISSUER = new Set([
	"DEPTH_ZERO_SELF_SIGNED_CERT",
	"SELF_SIGNED_CERT_IN_CHAIN",
	"UNABLE_TO_GET_ISSUER_CERT",
	"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
	"UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
/** What plain HTTP to a port that speaks TLS, and TLS to one that doesn't, end with. */
const CLOSED = /^(?:UND_ERR_SOCKET|ECONNRESET|HPE_.+)$/;
const NO_TLS = /^(?:ERR_SSL_.+|EPROTO|HPE_.+)$/;

/** What to do when no answer came, by why. */
export function wayOut({ url, cause }: ConnectionError): string {
	const code = codeOf(cause) ?? "";
	if (UNKNOWN_ISSUER.has(code))
		return "The certificate is of an issuer that isn't trusted here: --ca-file or BERTH_CA_FILE names a file with the issuer's certificate, or with the gateway's own where it issued that itself.";
	if (code === "CERT_HAS_EXPIRED")
		return "The gateway's certificate has expired: whoever runs it puts a good one in the file that BERTH_TLS_CERT names.";
	if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "Ask for it by a name that its certificate has.";
	if (url.startsWith("https:") && NO_TLS.test(code))
		return "Something answers there, but not with TLS: it may speak http there, or be no gateway.";
	if (url.startsWith("http:") && CLOSED.test(code))
		return `The connection was closed: it may speak https there (--url ${url.replace("http:", "https:")}), or is going down (\`berth doctor\` tells).`;
	return "Is the stack up? `berth doctor` tells, `berth up` starts it.";
}
