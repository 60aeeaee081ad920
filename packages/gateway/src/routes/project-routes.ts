import { packageRegistryInputSchema, secretInputSchema, volumeInputSchema } from "@berth/contracts";
import { listNetworks, makeNetwork, removeNetwork } from "../networks.js";
import { listPackageRegistries, removePackageRegistry, setPackageRegistry } from "../package-registries.js";
import type { Route } from "../route.js";
import { listSecrets, removeSecret, setSecret } from "../secrets.js";
import { getVolume, listVolumes, makeVolume, removeVolume } from "../volumes.js";

/** Networks of a project's functions. */
export const NETWORK_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/networks",
		summary: "The networks of the project, and the functions on each",
		scope: "read",
		answers: { 200: "NetworkList" },
		serve: listNetworks,
	},
	{
		method: "put",
		path: "/v1/networks/{name}",
		summary: "Make a network, on which functions reach each other as http://<function>/",
		scope: "deploy",
		answers: { 200: "There is one", 201: "There is one now" },
		serve: makeNetwork,
	},
	{
		method: "delete",
		path: "/v1/networks/{name}",
		summary: "Remove a network that no function is on",
		scope: "deploy",
		answers: { 204: "Gone" },
		serve: removeNetwork,
	},
];

/** Its volumes. */
export const VOLUME_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/volumes",
		summary: "The volumes of the project, and the functions that have each",
		scope: "read",
		answers: { 200: "VolumeList" },
		serve: listVolumes,
	},
	{
		method: "get",
		path: "/v1/volumes/{name}",
		summary: "A volume",
		scope: "read",
		answers: { 200: "Volume" },
		serve: getVolume,
	},
	{
		method: "put",
		path: "/v1/volumes/{name}",
		summary: "Make a volume, which functions have at /mnt/{name}",
		scope: "deploy",
		body: volumeInputSchema,
		answers: { 200: "Volume; there was one", 201: "Volume" },
		serve: makeVolume,
	},
	{
		method: "delete",
		path: "/v1/volumes/{name}",
		summary: "Remove a volume that no function has, with everything in it",
		scope: "deploy",
		answers: { 204: "Gone" },
		serve: removeVolume,
	},
];

/** Its secrets. */
export const SECRET_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/secrets",
		summary: "The secrets of the project without their values, and the functions that have each",
		scope: "read",
		answers: { 200: "SecretList" },
		serve: listSecrets,
	},
	{
		method: "put",
		path: "/v1/secrets/{name}",
		summary: "Give a secret a value, which nobody reads again but the functions that name it",
		scope: "deploy",
		body: secretInputSchema,
		answers: { 200: "Secret; there was one", 201: "Secret" },
		serve: setSecret,
	},
	{
		method: "delete",
		path: "/v1/secrets/{name}",
		summary: "Remove a secret that no function has",
		scope: "deploy",
		answers: { 204: "Gone" },
		serve: removeSecret,
	},
];

/** Where its packages come from. */
export const PACKAGE_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/registries",
		summary: "The project's package registries, without what it is logged in with",
		scope: "read",
		answers: { 200: "PackageRegistryList" },
		serve: listPackageRegistries,
	},
	{
		method: "put",
		path: "/v1/registries/{host}",
		summary: "Use a package registry: for scopes, with a token or a name and a password",
		scope: "admin",
		body: packageRegistryInputSchema,
		answers: { 200: "PackageRegistryEntry" },
		serve: setPackageRegistry,
	},
	{
		method: "delete",
		path: "/v1/registries/{host}",
		summary: "Use it no longer, and forget its login",
		scope: "admin",
		answers: { 204: "Gone" },
		serve: removePackageRegistry,
	},
];
