import { aliasInputSchema } from "@berth/contracts";
import { getAlias, listAliases, removeAlias, rollBack, setAlias } from "../aliases.js";
import type { Route } from "../route.js";

/** Names for versions. */
export const ALIAS_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/functions/{name}/aliases",
		summary: "Its aliases, `live` first",
		scope: "read",
		answers: { 200: "AliasList" },
		serve: listAliases,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/aliases/{alias}",
		summary: "One alias",
		scope: "read",
		answers: { 200: "Alias" },
		serve: getAlias,
	},
	{
		method: "put",
		path: "/v1/functions/{name}/aliases/{alias}",
		summary: "Make an alias, or move it at once: to versions by weight, or to the newest ready version from now on",
		scope: "deploy",
		body: aliasInputSchema,
		answers: { 200: "The alias as it is now, with `warnings` of versions that crash again and again" },
		serve: setAlias,
	},
	{
		method: "delete",
		path: "/v1/functions/{name}/aliases/{alias}",
		summary: "Delete an alias other than `live`",
		scope: "deploy",
		answers: { 204: "Gone" },
		serve: removeAlias,
	},
	{
		method: "post",
		path: "/v1/functions/{name}/aliases/{alias}/rollback",
		summary: "Lead an alias wholly to the version that it led to wholly before",
		scope: "deploy",
		answers: { 200: "The alias as it is now, with `warnings` of versions that crash again and again" },
		serve: rollBack,
	},
];
