import { inlineDeploySchema } from "@berth/contracts";
import { getBuildLog } from "../build-logs.js";
import { deploy } from "../deploys.js";
import {
	deleteFunction,
	getFunction,
	getLockfile,
	getSource,
	getVersion,
	listFunctions,
	listVersions,
	removeVersion,
} from "../functions.js";
import { rebase } from "../rebases.js";
import type { Route } from "../route.js";

/** Functions and their versions. */
export const FUNCTION_ROUTES: readonly Route[] = [
	{
		method: "put",
		path: "/v1/functions/{name}",
		summary:
			"Deploy a version: JSON with the source, or an archive (application/gzip, application/zip) with its manifest in Berth-Manifest. `?wait=true` answers when it is built; `?cache=false` makes its layers anew.",
		scope: "deploy",
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
		scope: "read",
		answers: { 200: "FunctionList" },
		query: ["outdated"],
		serve: listFunctions,
	},
	{
		method: "get",
		path: "/v1/functions/{name}",
		summary: "A function and its live version",
		scope: "read",
		answers: { 200: "FunctionDetail" },
		serve: getFunction,
	},
	{
		method: "delete",
		path: "/v1/functions/{name}",
		summary: "Delete a function and its versions",
		scope: "deploy",
		answers: { 204: "Gone" },
		serve: deleteFunction,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions",
		summary: "Its versions, newest first",
		scope: "read",
		answers: { 200: "VersionList" },
		serve: listVersions,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions/{number}",
		summary: "One version",
		scope: "read",
		answers: { 200: "Version" },
		serve: getVersion,
	},
	{
		method: "delete",
		path: "/v1/functions/{name}/versions/{number}",
		summary: "Delete a version that no alias leads to",
		scope: "deploy",
		answers: { 204: "Gone" },
		serve: removeVersion,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions/{number}/log",
		summary:
			"What its build said. With `Accept: text/event-stream` also what it is still going to say, until it ends; `Last-Event-ID` leaves out what is known.",
		scope: "read",
		answers: { 200: "BuildLogAnswer, lines as text/plain, or text/event-stream" },
		serve: getBuildLog,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions/{number}/source",
		summary: "Its source as it was handed in: a file's text, or an archive",
		scope: "read",
		answers: { 200: "text/plain, application/gzip or application/zip" },
		serve: getSource,
	},
	{
		method: "get",
		path: "/v1/functions/{name}/versions/{number}/lockfile",
		summary: "The package-lock.json that its dependencies were resolved to, where its source brought no lock file",
		scope: "read",
		answers: { 200: "application/json" },
		serve: getLockfile,
	},
	{
		method: "post",
		path: "/v1/functions/{name}/rebase",
		summary:
			"New versions, on the bases of now, of those that aliases lead to; they take their places when they are ready. `?wait=true` answers then.",
		scope: "deploy",
		answers: { 200: "RebaseAnswer: all are ready, or there was none to rebase", 202: "RebaseAnswer: some are still being built" },
		query: ["wait"],
		serve: rebase,
	},
];
