import { environmentOf } from "./environment.js";
import type { Settings } from "./settings.js";
import type { SettingName } from "./settings-table.js";

/** What may be shown of a setting: all of it; that it is set; or its URLs without name, password and what follows a `?`. */
type Shown = "value" | "set" | "urls";

/** Of every setting that isn't shown as it is. */
const SHOWN: Readonly<Partial<Record<SettingName, Shown>>> = {
	BERTH_DURABLE_REDIS_URL: "urls",
	BERTH_FAST_REDIS_URL: "urls",
	BERTH_PAYLOAD_STORE: "urls",
	BERTH_REGISTRIES: "urls",
	BERTH_NPM_REGISTRY: "urls",
	BERTH_PYPI_INDEX: "urls",
	BERTH_PACKAGE_REGISTRIES: "urls",
	BERTH_PYPI_INDEXES: "urls",
	OTEL_EXPORTER_OTLP_ENDPOINT: "urls",
	/** The path of a file. */
	BERTH_TLS_KEY: "value",
	BERTH_ADMIN_KEY_SHA256: "set",
	BERTH_METRICS_KEY_SHA256: "set",
	BERTH_SECRETS_KEY: "set",
	OTEL_EXPORTER_OTLP_HEADERS: "set",
	OTEL_RESOURCE_ATTRIBUTES: "set",
};
/** A setting that is called so later is shown only as set, until the table says otherwise. */
const SECRET_NAME = /KEY|SECRET|TOKEN|PASSWORD|HEADERS|SHA256/;

/** The settings as variables that somebody else may read: no password, key or header is in them. */
export function shownSettings(settings: Settings): Readonly<Record<string, string>> {
	const pairs = Object.entries(environmentOf(settings)).map(([name, value]) => [name, shownAs(name as SettingName, value)] as const);
	return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function shownAs(name: SettingName, value: string): string {
	const how = SHOWN[name] ?? (SECRET_NAME.test(name) ? "set" : "value");
	if (how === "value") return value;
	return how === "set" ? "(set)" : value.split(",").map(withoutLogin).join(",");
}

/** A URL without its login and query, which hold passwords. */
function withoutLogin(url: string): string {
	return url
		.trim()
		.replace(/\/\/[^/]*@/, "//")
		.replace(/[?#].*$/, "");
}

/** What of the settings nobody else may see, as it is used. */
export function secretsIn(settings: Settings): readonly string[] {
	const { secretsKey, payloadStore, registries, tracing, adminKeySha256, metricsKeySha256 } = settings;
	const redis = [settings.durableRedisUrl, settings.fastRedisUrl].map(passwordOf);
	const logins = registries.map(({ login }) => login?.password);
	const headers = Object.values(tracing.exported?.headers ?? {});
	const keys = [...(secretsKey?.split(",") ?? []), adminKeySha256, metricsKeySha256];
	return [...redis, ...logins, ...headers, ...keys, payloadStore?.secretAccessKey, payloadStore?.accessKeyId].filter(
		(secret): secret is string => secret !== undefined && secret !== "",
	);
}

function passwordOf(url: string): string | undefined {
	if (!URL.canParse(url)) return undefined;
	const { password, searchParams } = new URL(url);
	const given = password === "" ? (searchParams.get("password") ?? "") : password;
	try {
		return decodeURIComponent(given);
	} catch {
		// A % that begins no escape: it is used as it stands.
		return given;
	}
}
