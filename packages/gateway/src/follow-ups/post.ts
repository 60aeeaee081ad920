import { request as overHttp, type RequestOptions } from "node:http";
import { request as overHttps } from "node:https";
import { isIPv6, type LookupFunction } from "node:net";
import { addressIn, callbackUrlFault, FOLLOW_UP_LIMITS, isAllowedHost, KIB, publicAddressesOf, SECOND_MS } from "@berth/contracts";

/** So much of an answer is read, for the sake of who sends it; none of it is looked at. */
const MOST_ANSWER_BYTES = 64 * KIB;

/** What came of a post: an answer's status, or why there was none. */
export type Posted =
	| { readonly status: number; readonly retryAfter?: string }
	/** `refused`: it leads where nothing is posted to. */
	| { readonly error: string; readonly refused?: true };

interface Post {
	readonly url: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: Buffer;
	/** Hosts that the operator allows, wherever they are. */
	readonly allowed: readonly string[];
	/** Default: FOLLOW_UP_LIMITS.answerMs. */
	readonly timeoutMs?: number;
}

/**
 * Posts to a URL of a tenant's. Its name is resolved once, every address has to be public, and one of those very addresses is
 * connected to. No redirect is followed, and nothing of the answer but status and Retry-After gets any further.
 */
export async function post({ url: text, headers, body, allowed, timeoutMs = FOLLOW_UP_LIMITS.answerMs }: Post): Promise<Posted> {
	// The operator may have thought better of it since.
	const fault = callbackUrlFault(text, allowed);
	if (fault !== undefined) return { error: fault, refused: true };
	const url = new URL(text);
	const signal = AbortSignal.timeout(timeoutMs);
	try {
		const lookup = await lookupFor(url, allowed, signal);
		if (lookup === "refused") return { error: `${url.hostname} leads to an address that isn't public`, refused: true };
		return await send(
			url,
			{ method: "POST", headers: { ...headers, "content-length": body.length }, signal, agent: false, ...lookup },
			body,
		);
	} catch (error) {
		if (signal.aborted) return { error: `no answer within ${timeoutMs / SECOND_MS} s` };
		return { error: reasonOf(error as NodeJS.ErrnoException) };
	}
}

/** What has a request connect to addresses that were looked at. */
async function lookupFor(url: URL, allowed: readonly string[], signal: AbortSignal): Promise<{ lookup?: LookupFunction } | "refused"> {
	if (isAllowedHost(url, allowed) || addressIn(url) !== undefined) return {};
	const addresses = await publicAddressesOf(url.hostname, signal);
	if (addresses === "refused") return "refused";
	const entries = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
	const [first] = entries as [(typeof entries)[number]];
	return {
		lookup: (_name, options, done) => {
			if (options.all === true) done(null, entries);
			else done(null, first.address, first.family);
		},
	};
}

function send(url: URL, options: RequestOptions, body: Buffer): Promise<Posted> {
	return new Promise((resolve, reject) => {
		let isAnswered = false;
		const request = (url.protocol === "https:" ? overHttps : overHttp)(url, options, (response) => {
			const { statusCode = 0, headers } = response;
			isAnswered = true;
			let bytes = 0;
			response.on("data", (chunk: Buffer) => {
				bytes += chunk.length;
				if (bytes > MOST_ANSWER_BYTES) response.destroy();
			});
			// However the rest of it goes: the receiver has said what it says.
			response.on("error", () => undefined);
			response.once("close", () => {
				const retryAfter = headers["retry-after"];
				resolve({ status: statusCode, ...(retryAfter === undefined ? {} : { retryAfter }) });
			});
		});
		request.on("error", reject);
		// Without a listener that is neither an answer nor an error.
		request.once("upgrade", ({ statusCode = 101 }, socket) => {
			socket.destroy();
			resolve({ status: statusCode });
		});
		// Also where an answer's body breaks off: before the answer itself is closed.
		request.once("close", () => {
			if (!isAnswered) reject(new Error("its connection was closed without an answer"));
		});
		request.end(body);
	});
}

/** Without addresses: those of names inside are nobody's business. */
function reasonOf({ code, message }: NodeJS.ErrnoException): string {
	if (code === "ENOTFOUND" || code === "ENODATA" || code === "ETIMEOUT" || code === "ESERVFAIL")
		return `its name can't be resolved (${code})`;
	return code === undefined ? message.slice(0, 200) : `it can't be reached (${code})`;
}
