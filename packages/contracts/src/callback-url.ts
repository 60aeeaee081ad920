import { isIP } from "node:net";
import { FOLLOW_UP_LIMITS } from "./follow-up.js";
import { isPublicAddress } from "./public-address.js";

/**
 * Why nothing is posted to a URL; undefined when something may be, as far as the URL says. Where a name leads is seen when it is connected to.
 * @param allowed hosts that the operator allows (`host` or `host:port`), wherever they are and without TLS
 */
export function callbackUrlFault(text: string, allowed: readonly string[]): string | undefined {
	if (text.length > FOLLOW_UP_LIMITS.urlChars) return `it has more than ${FOLLOW_UP_LIMITS.urlChars} characters`;
	const url = URL.canParse(text) ? new URL(text) : undefined;
	if (url === undefined || !/^https?:$/.test(url.protocol)) return "an https:// URL is wanted";
	if (url.username !== "" || url.password !== "") return "a URL with a name or password isn't taken: callbacks are signed";
	if (url.hash !== "") return "a URL with a # isn't taken";
	if (isAllowedHost(url, allowed)) return undefined;
	const address = addressIn(url);
	if (address !== undefined ? !isPublicAddress(address) : /(?:^|\.)(?:localhost|local|internal)\.?$/.test(url.hostname))
		return `${url.host} isn't a public address; the operator allows private ones in BERTH_CALLBACK_HOSTS`;
	return url.protocol === "https:" ? undefined : "https:// is wanted: what a function answered is in it";
}

/** Whether the operator allows this host, with this port if the list has one. */
export function isAllowedHost({ hostname, host, port, protocol }: URL, allowed: readonly string[]): boolean {
	const withPort = port === "" ? `${hostname}:${protocol === "https:" ? 443 : 80}` : host;
	return allowed.includes(hostname) || allowed.includes(withPort);
}

/** The address that a URL has in the place of a name. */
export function addressIn({ hostname }: URL): string | undefined {
	const bare = hostname.replace(/^\[(.*)\]$/, "$1");
	return isIP(bare) === 0 ? undefined : bare;
}
