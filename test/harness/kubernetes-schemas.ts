import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { parseAllDocuments } from "yaml";
import { goModule } from "./go-modules.js";

type Schema = Readonly<Record<string, unknown>>;
/** What each resource is, in Kubernetes's own words. */
export interface Resource {
	readonly apiVersion: string;
	readonly kind: string;
	readonly metadata: { readonly name: string };
	readonly spec: Readonly<Record<string, unknown>>;
}

interface Definition extends Schema {
	readonly "x-kubernetes-group-version-kind"?: readonly { readonly group: string; readonly version: string; readonly kind: string }[];
}
interface CustomDefinition {
	readonly kind: string;
	readonly spec: {
		readonly group: string;
		readonly names: { readonly kind: string };
		readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[];
	};
}

/** Versions of the published schemas: modules of Go's, whose repositories hold them. */
const KUBERNETES = "v1.34.2";
const OPERATOR = "v0.85.0";
const KEDA = "v2.20.2";

/** The same, with what a field isn't known by refused: schemas of Kubernetes allow what its API server prunes. */
function strict(schema: unknown): unknown {
	if (Array.isArray(schema)) return schema.map(strict);
	if (typeof schema !== "object" || schema === null) return schema;
	const found = schema as Record<string, unknown>;
	if (found["format"] === "int-or-string") return { type: ["string", "integer"] };
	const { format: _format, default: _default, ...rest } = found;
	const copy = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, strict(value)]));
	const isOpen = "additionalProperties" in copy || copy["x-kubernetes-preserve-unknown-fields"] === true;
	return "properties" in copy && !isOpen ? { ...copy, additionalProperties: false } : copy;
}

/** Validators of resources, by `apiVersion/kind`: Kubernetes's own, those of the Prometheus Operator and of KEDA. */
export async function kubernetesSchemas(): Promise<(resource: Resource) => readonly string[]> {
	const [kubernetes, operator, keda] = await Promise.all([
		goModule("k8s.io/kubernetes", KUBERNETES),
		goModule("github.com/prometheus-operator/prometheus-operator", OPERATOR),
		goModule("github.com/kedacore/keda/v2", KEDA),
	]);
	const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
	const { definitions } = JSON.parse(readFileSync(join(kubernetes, "api/openapi-spec/swagger.json"), "utf8")) as {
		definitions: Readonly<Record<string, Definition>>;
	};
	ajv.addSchema({ $id: "kubernetes", definitions: strict(definitions) });
	const validators = new Map<string, ValidateFunction>();
	const place = (group: string, version: string, kind: string) => `${group === "" ? "" : `${group}/`}${version}/${kind}`;
	for (const [name, { "x-kubernetes-group-version-kind": kinds = [] }] of Object.entries(definitions))
		if (kinds.length === 1)
			for (const { group, version, kind } of kinds)
				validators.set(place(group, version, kind), ajv.compile({ $ref: `kubernetes#/definitions/${name}` }));
	const custom = [join(operator, "example/prometheus-operator-crd"), join(keda, "config/crd/bases")].flatMap((directory) =>
		readdirSync(directory)
			.filter((file) => /servicemonitors|scaledobjects/.test(file))
			.flatMap((file) => parseAllDocuments(readFileSync(join(directory, file), "utf8")))
			.map((document) => document.toJS() as CustomDefinition),
	);
	// What every object has, and no definition repeats.
	const { apiVersion, kind, metadata } = { apiVersion: { type: "string" }, kind: { type: "string" }, metadata: { type: "object" } };
	for (const { spec } of custom)
		for (const { name, schema } of spec.versions) {
			const whole = strict(schema.openAPIV3Schema) as { properties: Schema };
			const properties = { ...whole.properties, apiVersion, kind, metadata };
			validators.set(place(spec.group, name, spec.names.kind), ajv.compile({ ...whole, properties }));
		}
	return (resource) => {
		const validate = validators.get(`${resource.apiVersion}/${resource.kind}`);
		if (validate === undefined) return [`no schema of ${resource.apiVersion}/${resource.kind}`];
		validate(resource);
		return (validate.errors ?? []).map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`);
	};
}
