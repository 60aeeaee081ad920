import type { RegistryAccess } from "./access.js";
import { Exchange } from "./exchange.js";

/** Asks a registry whether it is one and takes the login (`GET /v2/`). @throws BerthError `registry_failed` saying what is wrong */
export async function tryRegistry(access: RegistryAccess): Promise<void> {
	const exchange = new Exchange(access, undefined);
	const ask = { method: "GET", url: "/v2/", what: "its version" } as const;
	const answer = await exchange.ask(ask);
	if (answer.statusCode !== 200) throw await exchange.failure(answer, ask.what);
	await answer.body.dump();
}
