import { createHmac } from "node:crypto";
import { sign as signForGithub } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { describe, expect, test } from "vitest";
import { SECOND_MS } from "../units.js";
import { type HeaderPairs, type Message, SCHEME_NAMES, type SchemeName, type SchemeSettings, schemeOf, verifyDelivery } from "./index.js";

const NOW_MS = 1_764_100_000_000;
const BODY = Buffer.from('{"id":"evt_1","type":"invoice.paid","n":1.0}');

/** Whether it is let in, at a time, with these secrets. */
function verify(
	scheme: SchemeName,
	headers: HeaderPairs,
	body: Uint8Array | string,
	secrets: readonly string[],
	{ nowMs = NOW_MS, settings = {} }: { nowMs?: number; settings?: SchemeSettings } = {},
) {
	const toleranceMs = schemeOf(scheme).toleranceMs ?? 0;
	return verifyDelivery(scheme, { headers, body: Buffer.from(body) }, secrets, { nowMs, toleranceMs, settings });
}

describe("what providers publish", () => {
	test("GitHub's test values (docs.github.com, Validating webhook deliveries)", () => {
		const headers = [["x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"]] as const;
		expect(verify("github", headers, "Hello, World!", ["It's a Secret to Everybody"])).toMatchObject({ verified: true });
	});

	test("Slack's example (docs.slack.dev, Verifying requests from Slack)", () => {
		const body =
			"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
		const headers = [
			["x-slack-request-timestamp", "1531420618"],
			["x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"],
		] as const;
		const nowMs = 1_531_420_618 * SECOND_MS;
		expect(verify("slack", headers, body, ["8f742231b10e8888abcd99yyyzzz85a5"], { nowMs })).toMatchObject({ verified: true });
	});

	test("Standard Webhooks' test of its libraries (github.com/standard-webhooks/standard-webhooks)", () => {
		const headers = [
			["webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"],
			["webhook-timestamp", "1614265330"],
			["webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
		] as const;
		const nowMs = 1_614_265_330 * SECOND_MS;
		expect(verify("standard-webhooks", headers, '{"test": 2432232314}', ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], { nowMs })).toEqual({
			verified: true,
			identities: ["id msg_p5jXN8AQM9LWM0D4loKWxJek"],
			deliveryId: "msg_p5jXN8AQM9LWM0D4loKWxJek",
		});
	});
});

describe("what their own libraries sign", () => {
	test("GitHub's", async () => {
		const headers = [
			["x-hub-signature-256", await signForGithub("a secret", BODY.toString())],
			["x-github-delivery", "72d3162e"],
			["x-github-event", "push"],
		] as const;
		expect(verify("github", headers, BODY, ["a secret"])).toMatchObject({ verified: true, deliveryId: "72d3162e", event: "push" });
	});

	test("Stripe's", () => {
		const header = Stripe.webhooks.generateTestHeaderString({
			payload: BODY.toString(),
			secret: "whsec_test",
			timestamp: NOW_MS / SECOND_MS,
		});
		expect(verify("stripe", [["stripe-signature", header]], BODY, ["whsec_test"])).toEqual({
			verified: true,
			identities: ["id evt_1"],
			deliveryId: "evt_1",
			event: "invoice.paid",
		});
	});

	test("Standard Webhooks'", () => {
		const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
		const signature = new Webhook(secret).sign("msg_1", new Date(NOW_MS), BODY.toString());
		const headers = [
			["webhook-id", "msg_1"],
			["webhook-timestamp", String(NOW_MS / SECOND_MS)],
			["webhook-signature", signature],
		] as const;
		expect(verify("standard-webhooks", headers, BODY, [secret])).toMatchObject({ verified: true, event: "invoice.paid" });
		expect(verify("gitlab", headers, BODY, [secret])).toMatchObject({ verified: true });
	});
});

test("and what is signed here they take", async () => {
	const message = { body: BODY, id: "msg_1", atMs: Math.floor(Date.now() / SECOND_MS) * SECOND_MS };
	const [, stripeHeader = ""] = schemeOf("stripe").sign(message, "whsec_test", {})[0] ?? [];
	expect(Stripe.webhooks.constructEvent(BODY.toString(), stripeHeader, "whsec_test")).toMatchObject({ id: "evt_1" });
	const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
	expect(
		new Webhook(secret).verify(BODY.toString(), Object.fromEntries(schemeOf("standard-webhooks").sign(message, secret, {}))),
	).toMatchObject({
		id: "evt_1",
	});
});

const HMAC_SETTINGS: SchemeSettings = {
	header: "x-sig",
	prefix: "v2:",
	algorithm: "sha512",
	encoding: "base64",
	timestampHeader: "x-time",
	idHeader: "x-id",
	eventHeader: "x-event",
};
const SIGNED = SCHEME_NAMES.filter((name) => name !== "none");
/** Tokens are of no body. */
const OVER_BODY: readonly SchemeName[] = SIGNED.filter((name) => name !== "token" && name !== "gitlab");
const TIMED: readonly SchemeName[] = ["stripe", "slack", "standard-webhooks", "hmac"];
const settingsOf = (name: SchemeName): SchemeSettings => (name === "hmac" ? HMAC_SETTINGS : name === "token" ? { idHeader: "x-id" } : {});
const secretOf = (name: SchemeName, byte = 7) => schemeOf(name).newSecret(Buffer.alloc(32, byte));
const MESSAGE: Message = { body: BODY, id: "delivery-1", event: "push", atMs: NOW_MS };
const signed = (name: SchemeName, message: Partial<Message> = {}, secret = secretOf(name)) =>
	schemeOf(name).sign({ ...MESSAGE, ...message }, secret, settingsOf(name));
const judge = (name: SchemeName, headers: HeaderPairs, more: { body?: Buffer; secrets?: readonly string[]; nowMs?: number } = {}) =>
	verify(name, headers, more.body ?? BODY, more.secrets ?? [secretOf(name)], { nowMs: more.nowMs ?? NOW_MS, settings: settingsOf(name) });

describe.each(SIGNED)("%s", (name) => {
	test("lets in what it signs, also with the secret before", () => {
		expect(judge(name, signed(name))).toMatchObject({ verified: true });
		expect(judge(name, signed(name), { secrets: [secretOf(name, 9), secretOf(name)] })).toMatchObject({ verified: true });
	});

	test("refuses another secret, none at all, and one that isn't set", () => {
		expect(judge(name, signed(name, {}, secretOf(name, 9)))).toMatchObject({ verified: false });
		expect(judge(name, signed(name), { secrets: [] })).toEqual({ verified: false, reason: "the hook's secret isn't set yet" });
		expect(judge(name, [])).toMatchObject({ verified: false, reason: expect.stringContaining("is missing") });
	});

	test("refuses each header of it that is stripped, emptied, cut, longer, or there twice, and says nothing of the secret", () => {
		const headers = signed(name);
		const proof = headers.filter(([header]) => /sig|hmac|token|authorization|time/.test(header));
		expect(proof.length).toBeGreaterThan(0);
		for (const [header, value] of proof) {
			const changed = (to: readonly string[]) => [
				...headers.filter(([each]) => each !== header),
				...to.map((text) => [header, text] as const),
			];
			const wrong = [
				[],
				[""],
				[value.slice(0, -1)],
				[`${value}0`],
				[` ${value}`],
				[`${value} `],
				[value, value],
				[value.replace(/=/g, "==")],
				[`${value}\n`],
			];
			for (const to of wrong) {
				if (to[0] === value && to.length === 1) continue;
				// Spaces are what separates its signatures.
				if (name === "standard-webhooks" && to[0]?.trim() === value && to.length === 1 && !to[0].includes("\n")) continue;
				const verdict = judge(name, changed(to));
				expect([header, to, verdict.verified]).toEqual([header, to, false]);
				expect(JSON.stringify(verdict)).not.toContain(secretOf(name));
			}
		}
	});

	test("tells a delivery that comes again, whatever of it isn't signed", () => {
		const first = judge(name, signed(name));
		const again = judge(name, signed(name));
		if (!first.verified || !again.verified) throw new Error("it isn't let in");
		expect(again.identities).toEqual(first.identities);
		expect(first.identities.length).toBeGreaterThan(0);
		if (!OVER_BODY.includes(name)) return;
		const renamed = judge(
			name,
			signed(name).map(
				([header, value]) => [header, ["x-github-delivery", "x-shopify-webhook-id", "x-id"].includes(header) ? "other" : value] as const,
			),
		);
		if (!renamed.verified) throw new Error("it isn't let in");
		expect(renamed.identities.some((each) => first.identities.includes(each))).toBe(true);
	});
});

describe.each(OVER_BODY)("%s", (name) => {
	test("refuses a body of which a byte is another, is missing, or is too many", () => {
		const headers = signed(name);
		const flipped = Buffer.from(BODY);
		flipped[5] = (flipped[5] as number) ^ 1;
		for (const body of [
			flipped,
			BODY.subarray(1),
			Buffer.concat([BODY, Buffer.from(" ")]),
			Buffer.from(JSON.stringify(JSON.parse(BODY.toString()))),
		])
			expect(judge(name, headers, { body })).toMatchObject({ verified: false });
	});
});

describe.each(TIMED)("%s", (name) => {
	test("refuses what is too old, or of the future, and a time that isn't what was signed", () => {
		const { toleranceMs = 0 } = schemeOf(name);
		const headers = signed(name);
		expect(judge(name, headers, { nowMs: NOW_MS + toleranceMs })).toMatchObject({ verified: true });
		expect(judge(name, headers, { nowMs: NOW_MS + toleranceMs + SECOND_MS })).toMatchObject({
			verified: false,
			reason: expect.stringMatching(/s old; 300 s/),
		});
		expect(judge(name, headers, { nowMs: NOW_MS - toleranceMs - SECOND_MS })).toMatchObject({
			verified: false,
			reason: expect.stringMatching(/future/),
		});
		const other = String(NOW_MS / SECOND_MS + 1);
		const moved = headers.map(([header, value]) => [header, value.replace(String(NOW_MS / SECOND_MS), other)] as const);
		expect(judge(name, moved)).toMatchObject({ verified: false });
		for (const odd of ["-1", "+1764100000", "1.7641e9", "0x6925", " 1764100000", "1764100000\u0000", ""]) {
			const written = headers.map(([header, value]) => [header, value.replace(String(NOW_MS / SECOND_MS), odd)] as const);
			expect([odd, judge(name, written).verified]).toEqual([odd, false]);
		}
	});
});

describe("weaker proofs", () => {
	test("GitHub's SHA-1 signature alone isn't looked at", () => {
		const sha1 = createHmac("sha1", "a secret").update(BODY).digest("hex");
		expect(verify("github", [["x-hub-signature", `sha1=${sha1}`]], BODY, ["a secret"])).toMatchObject({ verified: false });
		expect(verify("github", [["x-hub-signature-256", `sha1=${sha1}`]], BODY, ["a secret"])).toMatchObject({ verified: false });
	});

	test("nor are Stripe's other versions, however many", () => {
		const at = NOW_MS / SECOND_MS;
		const good = createHmac("sha256", "whsec_test").update(`${at}.`).update(BODY).digest("hex");
		const header = (text: string) => verify("stripe", [["stripe-signature", text]], BODY, ["whsec_test"]).verified;
		expect(header(`t=${at},v1=${"0".repeat(64)},v1=${good}`)).toBe(true);
		expect(header(`t=${at},v0=${good}`)).toBe(false);
		expect(header(`t=${at},t=${at},v1=${good}`)).toBe(false);
		expect(header(`t=${at},v1=${good.slice(2)}`)).toBe(false);
		expect(header(`t=${at},${`v1=${"0".repeat(64)},`.repeat(1000)}v1=${good}`)).toBe(false);
	});

	test("a Stripe event without an id is the same one with whatever signatures beside the good one, and another at another time", () => {
		const body = Buffer.from('{"n":1}');
		const identitiesOf = (at: number, others: string) => {
			const good = createHmac("sha256", "whsec_test").update(`${at}.`).update(body).digest("hex");
			const verdict = verify("stripe", [["stripe-signature", `t=${at},${others}v1=${good}`]], body, ["whsec_test"]);
			return verdict.verified ? verdict.identities : verdict;
		};
		const at = NOW_MS / SECOND_MS;
		const first = identitiesOf(at, "");
		expect(first).toEqual([expect.any(String)]);
		expect(identitiesOf(at, `v1=${"0".repeat(64)},`)).toEqual(first);
		expect(identitiesOf(at + 1, "")).not.toEqual(first);
	});

	test("base64 that isn't written as it has to be is no signature, though Node's decoder would take it", () => {
		const mac = createHmac("sha256", "a secret").update(BODY).digest("base64");
		const shopify = (text: string) => verify("shopify", [["x-shopify-hmac-sha256", text]], BODY, ["a secret"]).verified;
		expect(shopify(mac)).toBe(true);
		for (const odd of [mac.replace("=", ""), `${mac}\n`, mac.replace(/\+/g, "-"), `${mac}AAAA`, ` ${mac}`]) {
			if (odd !== mac) expect([odd, shopify(odd)]).toEqual([odd, false]);
		}
	});

	test("a GitLab token is none where GitLab signs; while one replaces the other both are good", () => {
		const signing = secretOf("standard-webhooks");
		const event = ["x-gitlab-event", "Push Hook"] as const;
		expect(verify("gitlab", [["x-gitlab-token", signing], event], BODY, [signing])).toMatchObject({ verified: false });
		const both = [signing, "the token before"];
		expect(verify("gitlab", [["x-gitlab-token", "the token before"], event], BODY, both)).toMatchObject({
			verified: true,
			event: "Push Hook",
		});
		expect(verify("gitlab", schemeOf("gitlab").sign(MESSAGE, signing, {}), BODY, both)).toMatchObject({ verified: true });
		expect(verify("gitlab", [["x-gitlab-token", signing]], BODY, both)).toMatchObject({ verified: false });
	});
});

test("Slack's challenge is only for who can sign", () => {
	const body = Buffer.from('{"type":"url_verification","challenge":"3eZbrw1a"}');
	const secret = secretOf("slack");
	const headers = schemeOf("slack").sign({ ...MESSAGE, body }, secret, {});
	expect(verify("slack", headers, body, [secret])).toMatchObject({ verified: true, challenge: "3eZbrw1a" });
	expect(verify("slack", headers, body, [secretOf("slack", 9)])).not.toHaveProperty("challenge");
});

test("who needs no proof has none looked at", () => {
	expect(verify("none", [["x-id", "1"]], BODY, [], { settings: { idHeader: "x-id" } })).toEqual({
		verified: true,
		identities: ["id 1"],
		deliveryId: "1",
	});
});
