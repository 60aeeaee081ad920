import { type Alias, type AliasList, type AliasTarget, LIVE, type MovedAlias } from "@berth/contracts";
import type { Transport } from "./transport.js";

const pathOf = (name: string) => `/v1/functions/${encodeURIComponent(name)}/aliases`;
const aliasPath = (name: string, alias: string) => `${pathOf(name)}/${encodeURIComponent(alias)}`;

/** Aliases of functions. */
export function aliasesOf(transport: Transport) {
	return {
		/** `live` first, then by name. @throws ApiError `function_not_found` */
		async aliases(name: string): Promise<readonly Alias[]> {
			return (await transport.json<AliasList>({ method: "GET", path: pathOf(name) })).aliases;
		},

		/** Makes an alias, or moves it at once. @throws ApiError `version_not_found`, `version_not_ready`, … */
		setAlias: (name: string, alias: string, target: AliasTarget): Promise<MovedAlias> =>
			transport.json({
				method: "PUT",
				path: aliasPath(name, alias),
				headers: { "content-type": "application/json" },
				body: JSON.stringify(target),
			}),

		/** @throws ApiError `alias_not_found`; `invalid_request` for `live` */
		async removeAlias(name: string, alias: string): Promise<void> {
			await transport.json({ method: "DELETE", path: aliasPath(name, alias) });
		},

		/** Leads it wholly to the version that it led to wholly before. @throws ApiError `nothing_to_roll_back` */
		rollBack: (name: string, alias: string = LIVE): Promise<MovedAlias> =>
			transport.json({ method: "POST", path: `${aliasPath(name, alias)}/rollback` }),
	};
}
