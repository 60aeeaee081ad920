import type { QuotaName, QuotaUse } from "./quota.js";

/** Projects of one installation, the first one left out. */
export const MOST_PROJECTS = 1000;

/** A tenant: what it has is its own, and no other project's key tells whether it is there. */
export interface Project {
	readonly name: string;
	/** ISO 8601; absent: it is the one that exists from the first start. */
	readonly createdAt?: string;
}

/** `GET /v1/projects`, by name. */
export interface ProjectList {
	readonly projects: readonly Project[];
}

/** `GET /v1/projects/{name}` */
export interface ProjectDetail extends Project {
	readonly quotas: Readonly<Record<QuotaName, QuotaUse>>;
}
