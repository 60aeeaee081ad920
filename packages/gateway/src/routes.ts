import {
	aliasInputSchema,
	inlineDeploySchema,
	packageRegistryInputSchema,
	pullSchema,
	pushSchema,
	volumeInputSchema,
} from "@berth/contracts";
import type { Request, Response } from "express";
import { getAlias, listAliases, removeAlias, rollBack, setAlias } from "./aliases.js";
import { getBuildLog } from "./build-logs.js";
import { deploy } from "./deploys.js";
import {
	deleteFunction,
	getFunction,
	getLockfile,
	getSource,
	getVersion,
	listFunctions,
	listVersions,
	removeVersion,
} from "./functions.js";
import { livez, metrics, readyz } from "./health.js";
import { hookRoutes } from "./hooks/routes.js";
import { getTransfer, listImages, pull, push, recover } from "./images.js";
import type { Invocations } from "./invocations.js";
import { listNetworks, makeNetwork, removeNetwork } from "./networks.js";
import { commandNodes, getStats, listSandboxes, nodeCommandSchema } from "./nodes.js";
import { listPackageRegistries, removePackageRegistry, setPackageRegistry } from "./package-registries.js";
import { rebase } from "./rebases.js";
import { getInvocation } from "./records.js";
import type { Route } from "./route.js";
import { getVolume, listVolumes, makeVolume, removeVolume } from "./volumes.js";

/** Every route, the hottest first. */
export function routes(invocations: Invocations): readonly Route[] {
	return [
		...invocationRoutes(invocations),
		...FUNCTION_ROUTES,
		REBASE_ROUTE,
		...ALIAS_ROUTES,
		...hookRoutes(invocations),
		...NETWORK_ROUTES,
		...VOLUME_ROUTES,
		...IMAGE_ROUTES,
		...PACKAGE_ROUTES,
		...NODE_ROUTES,
		...HEALTH_ROUTES,
	];
}

function invocationRoutes(invocations: Invocations): readonly Route[] {
	const http = (request: Request, response: Response) => invocations.http(request, response);
	return [
		{
			method: "post",
			path: "/v1/functions/{name}/invocations",
			summary:
				"Invoke a function: payload in, result out. `name@alias` and `name@version` mean another version than the live one. With `Prefer: respond-async`: 202 and a Location.",
			key: true,
			answers: { 200: "The result", 202: "Accepted; the record is at Location", 204: "The handler returned nothing" },
			serve: (request, response) => invocations.event(request, response),
		},
		{
			method: "all",
			path: "/fn/{project}/{name}",
			summary: "Invoke a function as an HTTP endpoint. Without a key when its manifest says public.",
			key: false,
			answers: { 200: "What the function answers: its status, headers and body" },
			serve: http,
		},
		{
			method: "all",
			path: "/fn/{project}/{name}/{rest}",
			summary: "The same with a path of the function's own below.",
			key: false,
			answers: { 200: "What the function answers: its status, headers and body" },
			serve: http,
		},
		{
			method: "get",
			path: "/v1/invocations/{id}",
			summary: "The record of an invocation",
			key: true,
			answers: { 200: "InvocationAnswer" },
			serve: getInvocation,
		},
	];
}

const FUNCTION_ROUTES: readonly Route[] = [
	{
		method: "put",
		path: "/v1/functions/{name}",
		summary:
			"Deploy a version: JSON with the source, or an archive (application/gzip, application/zip) with its manifest in Berth-Manifest. `?wait=true` answers when it is built; `?cache=false` makes its layers anew.",
		key: true,
		body: inlineDeploySchema,
		answers: {
			200: "Nothing changed: the latest version is made of this",
			201: "The version is ready",
			202: "The version is queued; it is at Location",
		},
		query: ["wait", "cache"],
		serve: deploy,
	},
	{
		method: "get",
		path: "/v1/functions",
		summary: "All functions of the project; with `?outdated=true` those that answer on an old base",
		key: true,
		answers: { 200: "FunctionList" },
		query: ["outdated"],
		serve: listFunctions,
	},
	{
		method: "get",
		path: "/v1/functions/{name}",
		summary: "A function and its live version",
		key: true,
		answers: { 200: "FunctionDetail" },
		serve: getFunction,
	},
	{
		method: "delete",
		path: "/v1/functions/{name}",
		summary: "Delete a function and its versions",
		key: true,
		answers: { 204: "Gone" },
		serve: deleteFunction,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions",
		summary: "Its versions, newest first",
		key: true,
		answers: { 200: "VersionList" },
		serve: listVersions,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions/{number}",
		summary: "One version",
		key: true,
		answers: { 200: "Version" },
		serve: getVersion,
	},
	{
		method: "delete",
		path: "/v1/functions/{name}/versions/{number}",
		summary: "Delete a version that no alias leads to",
		key: true,
		answers: { 204: "Gone" },
		serve: removeVersion,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions/{number}/log",
		summary:
			"What its build said. With `Accept: text/event-stream` also what it is still going to say, until it ends; `Last-Event-ID` leaves out what is known.",
		key: true,
		answers: { 200: "BuildLogAnswer, lines as text/plain, or text/event-stream" },
		serve: getBuildLog,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions/{number}/source",
		summary: "Its source as it was handed in: a file's text, or an archive",
		key: true,
		answers: { 200: "text/plain, application/gzip or application/zip" },
		serve: getSource,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions/{number}/lockfile",
		summary: "The package-lock.json that its dependencies were resolved to, where its source brought no lock file",
		key: true,
		answers: { 200: "application/json" },
		serve: getLockfile,
	},
];

const REBASE_ROUTE: Route = {
	method: "post",
	path: "/v1/functions/{name}/rebase",
	summary:
		"New versions, on the bases of now, of those that aliases lead to; they take their places when they are ready. `?wait=true` answers then.",
	key: true,
	answers: { 200: "RebaseAnswer: all are ready, or there was none to rebase", 202: "RebaseAnswer: some are still being built" },
	query: ["wait"],
	serve: rebase,
};

const ALIAS_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/functions/{name}/aliases",
		summary: "Its aliases, `live` first",
		key: true,
		answers: { 200: "AliasList" },
		serve: listAliases,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/aliases/{alias}",
		summary: "One alias",
		key: true,
		answers: { 200: "Alias" },
		serve: getAlias,
	},
	{
		method: "put",
		path: "/v1/functions/{name}/aliases/{alias}",
		summary: "Make an alias, or move it at once: to versions by weight, or to the newest ready version from now on",
		key: true,
		body: aliasInputSchema,
		answers: { 200: "The alias as it is now" },
		serve: setAlias,
	},
	{
		method: "delete",
		path: "/v1/functions/{name}/aliases/{alias}",
		summary: "Delete an alias other than `live`",
		key: true,
		answers: { 204: "Gone" },
		serve: removeAlias,
	},
	{
		method: "post",
		path: "/v1/functions/{name}/aliases/{alias}/rollback",
		summary: "Lead an alias wholly to the version that it led to wholly before",
		key: true,
		answers: { 200: "The alias as it is now" },
		serve: rollBack,
	},
];

const NETWORK_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/networks",
		summary: "The networks of the project, and the functions on each",
		key: true,
		answers: { 200: "NetworkList" },
		serve: listNetworks,
	},
	{
		method: "put",
		path: "/v1/networks/{name}",
		summary: "Make a network, on which functions reach each other as http://<function>/",
		key: true,
		answers: { 200: "There is one", 201: "There is one now" },
		serve: makeNetwork,
	},
	{
		method: "delete",
		path: "/v1/networks/{name}",
		summary: "Remove a network that no function is on",
		key: true,
		answers: { 204: "Gone" },
		serve: removeNetwork,
	},
];

const VOLUME_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/volumes",
		summary: "The volumes of the project, and the functions that have each",
		key: true,
		answers: { 200: "VolumeList" },
		serve: listVolumes,
	},
	{
		method: "get",
		path: "/v1/volumes/{name}",
		summary: "A volume",
		key: true,
		answers: { 200: "Volume" },
		serve: getVolume,
	},
	{
		method: "put",
		path: "/v1/volumes/{name}",
		summary: "Make a volume, which functions have at /mnt/{name}",
		key: true,
		body: volumeInputSchema,
		answers: { 200: "Volume; there was one", 201: "Volume" },
		serve: makeVolume,
	},
	{
		method: "delete",
		path: "/v1/volumes/{name}",
		summary: "Remove a volume that no function has, with everything in it",
		key: true,
		answers: { 204: "Gone" },
		serve: removeVolume,
	},
];

const IMAGE_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/images",
		summary: "The images of the project's versions",
		key: true,
		answers: { 200: "ImageList" },
		serve: listImages,
	},
	{
		method: "post",
		path: "/v1/images/push",
		summary: "Push a version's image to an OCI registry",
		key: true,
		body: pushSchema,
		answers: { 202: "ImageTransfer; it goes on at Location" },
		serve: push,
	},
	{
		method: "post",
		path: "/v1/images/pull",
		summary: "Pull an image that Berth built, as a new version of a function",
		key: true,
		body: pullSchema,
		answers: { 202: "ImageTransfer; it goes on at Location" },
		serve: pull,
	},
	{
		method: "get",
		path: "/v1/images/transfers/{id}",
		summary: "A push or a pull, as far as it is. `?after=` a revision waits for the next, 4 s at most.",
		key: true,
		answers: { 200: "ImageTransfer" },
		query: ["after"],
		serve: getTransfer,
	},
	{
		method: "post",
		path: "/v1/recover",
		summary: "Make functions and versions out of the images in the store, after the durable Redis was lost",
		key: true,
		answers: { 200: "Recovery" },
		serve: recover,
	},
];

const PACKAGE_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/registries",
		summary: "The project's package registries, without what it is logged in with",
		key: true,
		answers: { 200: "PackageRegistryList" },
		serve: listPackageRegistries,
	},
	{
		method: "put",
		path: "/v1/registries/{host}",
		summary: "Use a package registry: for scopes, with a token or a name and a password",
		key: true,
		body: packageRegistryInputSchema,
		answers: { 200: "PackageRegistryEntry" },
		serve: setPackageRegistry,
	},
	{
		method: "delete",
		path: "/v1/registries/{host}",
		summary: "Use it no longer, and forget its login",
		key: true,
		answers: { 204: "Gone" },
		serve: removePackageRegistry,
	},
];

const NODE_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/sandboxes",
		summary: "Every sandbox of every node",
		key: true,
		answers: { 200: "SandboxList" },
		serve: listSandboxes,
	},
	{
		method: "get",
		path: "/v1/stats",
		summary: "What each node did and holds",
		key: true,
		answers: { 200: "StatsAnswer" },
		serve: getStats,
	},
	{
		method: "post",
		path: "/v1/nodes/commands",
		summary: "Kill a sandbox, evict a function's idle ones, or set the prewarmed floor; answered when it is done",
		key: true,
		body: nodeCommandSchema,
		answers: { 200: "How many sandboxes it concerned" },
		serve: commandNodes,
	},
];

const HEALTH_ROUTES: readonly Route[] = [
	{ method: "get", path: "/livez", summary: "Whether the process answers", key: false, answers: { 200: "ok" }, serve: livez },
	{
		method: "get",
		path: "/readyz",
		summary: "Whether an invocation would be accepted",
		key: false,
		answers: { 200: "ok" },
		serve: readyz,
	},
	{
		method: "get",
		path: "/metrics",
		summary: "Prometheus metrics of the gateway and its workers",
		key: false,
		answers: { 200: "text/plain" },
		serve: metrics,
	},
];

/** The route of the OpenAPI document. */
export function documentRoute(serve: Route["serve"]): Route {
	return { method: "get", path: "/openapi.json", summary: "This document", key: false, answers: { 200: "OpenAPI 3.1" }, serve };
}

/** `/fn/{project}/{rest}` as Express writes it: `/fn/:project/*rest`. */
export function expressPath(path: string): string {
	return path.replace("{rest}", "*rest").replace(/\{(\w+)\}/g, ":$1");
}
