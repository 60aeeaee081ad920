import { apiKeyInputSchema, quotaChangesSchema } from "@berth/contracts";
import { createKey, listKeys, revokeKey } from "../api-keys.js";
import { listChanges } from "../audit.js";
import { changeProject, getProject, listProjects, makeProject, removeProject } from "../projects.js";
import type { Route } from "../route.js";

/** Who may do what in a project. */
export const KEY_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/keys",
		summary: "The project's API keys, without what lets in",
		scope: "admin",
		answers: { 200: "ApiKeyList" },
		serve: listKeys,
	},
	{
		method: "post",
		path: "/v1/keys",
		summary: "Make an API key of the project",
		scope: "admin",
		body: apiKeyInputSchema,
		answers: { 201: "NewApiKey: the key itself is shown this once" },
		shownOnce: true,
		serve: createKey,
	},
	{
		method: "delete",
		path: "/v1/keys/{name}",
		summary: "Revoke an API key: within a second no gateway takes it",
		scope: "admin",
		answers: { 204: "Gone" },
		serve: revokeKey,
	},
];

/** Who has changed what. */
export const AUDIT_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/audit",
		summary: "The project's changes, the newest first: who, what, when, from where. `?limit=`, `before=`",
		scope: "admin",
		query: ["limit", "before"],
		answers: { 200: "AuditList" },
		serve: listChanges,
	},
];

/** The tenants, for the operator. */
export const TENANT_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/projects",
		summary: "The projects there are",
		scope: "operator",
		answers: { 200: "ProjectList" },
		serve: listProjects,
	},
	{
		method: "get",
		path: "/v1/projects/{name}",
		summary: "A project: its quotas, and what of them is used. Its own keys see it, and the operator's",
		scope: "read",
		answers: { 200: "ProjectDetail" },
		serve: getProject,
	},
	{
		method: "patch",
		path: "/v1/projects/{name}",
		summary: "Set what is named of a project's quotas; null is the default again",
		scope: "operator",
		body: quotaChangesSchema,
		answers: { 200: "ProjectDetail, as it is now" },
		serve: changeProject,
	},
	{
		method: "put",
		path: "/v1/projects/{name}",
		summary: "Make a project; requests with the operator's key and `Berth-Project` are in it",
		scope: "operator",
		answers: { 200: "There is one", 201: "There is one now" },
		serve: makeProject,
	},
	{
		method: "delete",
		path: "/v1/projects/{name}",
		summary: "Remove a project that has no functions, networks and volumes, with its API keys; its name isn't taken again",
		scope: "operator",
		answers: { 204: "Gone" },
		serve: removeProject,
	},
];
