import { describe, expect, test } from "vitest";
import { childEnvironment, environmentOf, settingsWith } from "./environment.js";
import { loadSettings } from "./settings.js";

describe("environmentOf", () => {
	test("a child that loads it has the parent's settings", () => {
		const settings = loadSettings({
			BERTH_DATA_DIR: "/srv/berth",
			BERTH_PORT: "0",
			BERTH_TLS_CERT: "/srv/tls/server.crt",
			BERTH_TLS_KEY: "/srv/tls/server.key",
			BERTH_MEMORY_MIB: "2048",
			BERTH_PREWARMED: "0",
			BERTH_QUEUED_MIB: "64",
			BERTH_RESULTS_MIB: "65",
			BERTH_LOGS_MIB: "66",
			BERTH_FAST_REDIS_URL: "redis://localhost:7000",
			BERTH_LOG_LEVEL: "debug",
			OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector.example.com/otlp/",
			OTEL_EXPORTER_OTLP_HEADERS: "api-key=a%2Cb,x=1",
			OTEL_SERVICE_NAME: "shop",
			OTEL_BSP_SCHEDULE_DELAY: "100",
			OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test",
			OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
			OTEL_TRACES_SAMPLER_ARG: "0.25",
		});
		expect(loadSettings(environmentOf(settings))).toEqual(settings);
	});

	test("the defaults survive it too, but for the bytes below a MiB", () => {
		const once = loadSettings(environmentOf(loadSettings({})));
		expect(loadSettings(environmentOf(once))).toEqual(once);
		expect(once.embedded).toEqual({ durable: true, fast: true });
	});
});

test("a supervised process gets no variable of its parent but PATH and LANG", () => {
	const env = childEnvironment(loadSettings({}), { PATH: "/bin", LANG: "C", SECRET: "x", BERTH_API_KEY: "y" });
	expect(env).toMatchObject({ PATH: "/bin", LANG: "C", BERTH_SUPERVISED: "1" });
	expect(env).not.toHaveProperty("SECRET");
	expect(env).not.toHaveProperty("BERTH_API_KEY");
});

test("the command line wins over the environment", () => {
	expect(settingsWith({ BERTH_PORT: "9000" }, { BERTH_PORT: "8000", BERTH_HOST: "::1" })).toMatchObject({ port: 9000, host: "::1" });
});

test("a wrong setting of the command line's is named as it is there", () => {
	const wrong = () => settingsWith({ BERTH_DATA_DIR: "data" }, { BERTH_PORT: "x" }, { BERTH_DATA_DIR: "--data" });
	expect(wrong).toThrow(/^--data is "data": an absolute path\nBERTH_PORT is "x"/);
});
