import { Resolver } from "node:dns/promises";
import { isPublicAddress } from "./public-address.js";
import { SECOND_MS } from "./units.js";

/**
 * The addresses of a name that a tenant chose, for one of those very addresses to be connected to; `refused` when one of them isn't public.
 * Such names are asked for over the network alone: the system's own resolver has four threads for the whole process, and knows names
 * that are this machine's.
 * @param servers of DNS; absent: this machine's @throws Error with a code of DNS's when there is no address, or the signal ends it
 */
export async function publicAddressesOf(
	name: string,
	signal: AbortSignal,
	servers?: readonly string[],
): Promise<readonly string[] | "refused"> {
	const resolver = new Resolver({ timeout: 2 * SECOND_MS, tries: 2 });
	if (servers !== undefined) resolver.setServers(servers);
	signal.addEventListener("abort", () => resolver.cancel(), { once: true });
	const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
	const addresses = found.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
	if (addresses.length === 0) throw (found[0] as PromiseRejectedResult).reason;
	return addresses.every(isPublicAddress) ? addresses : "refused";
}
