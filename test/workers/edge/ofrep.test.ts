import { describe, expect, test } from "vitest";
import { bucketOf, seedOf } from "../../../core/flags/bucket";
import { sha256 } from "../../../worker/digest";
import { aFlag, aRollout, aState, publish, SDK_KEY, STAGING_KEY } from "./fixture";
import { anEdge, down, put } from "./harness";

const FLAGS = "/ofrep/v1/evaluate/flags";
const bearer = { Authorization: `Bearer ${SDK_KEY}` };
const one = (key: string): string => `${FLAGS}/${key}`;
const checkout = one("checkout");
const half = [
	{ variant: "true", weight: 50_000 },
	{ variant: "false", weight: 50_000 },
];
const german = { id: "germans", description: "", when: { attribute: "country", op: "equals" as const, values: ["DE"] }, serve: "true" };

/** Flips one byte of a flag's JSON, so that its hash is wrong. */
const damage = (body: string, key: string): string =>
	body
		.split("\n")
		.map((line) => (line.startsWith(`${key}\t`) ? line.replace('"enabled":true', '"enabled":tru_') : line))
		.join("\n");

describe("one flag", () => {
	test("answers value, variant, reason and metadata", async () => {
		const edge = await anEdge(await publish([aState({ flags: [aFlag({ rules: [german] })] })]));
		const response = await edge.post(checkout, { context: { targetingKey: "ada", country: "DE" } });
		expect(response.status).toBe(200);
		expect(await response.json()).toEqual({
			key: "checkout",
			value: true,
			reason: "TARGETING_MATCH",
			variant: "true",
			metadata: { snapshot: 1, rule: "germans" },
		});
	});

	test("shows a rollout's phase and the user's bucket", async () => {
		const edge = await anEdge(await publish([aState({ flags: [aFlag({ key: "natal" })], rollouts: [aRollout()] })]));
		const bucket = bucketOf("ada", seedOf("kerykeion"));
		expect(await (await edge.post(one("natal"), { context: { targetingKey: "ada" } })).json()).toMatchObject({
			value: bucket < 50_000,
			reason: "SPLIT",
			metadata: { rollout: "kerykeion", phase: "phase_1", bucket },
		});
	});

	test.each(["{}", "", '{"context":{}}', '{"other":1}'])("takes a request without context: %j", async (body) => {
		const edge = await anEdge(await publish([aState()]));
		const response = await edge.post(checkout, body);
		expect([response.status, await response.json()]).toEqual([200, expect.objectContaining({ value: false, reason: "STATIC" })]);
	});

	test("needs no targeting key, and says that it would have", async () => {
		const edge = await anEdge(await publish([aState({ flags: [aFlag({ fallthrough: half })] })]));
		expect(await (await edge.post(checkout, { context: {} })).json()).toMatchObject({ reason: "DEFAULT", metadata: { noKey: true } });
	});

	test.each([
		"unknown",
		"",
		"__proto__",
		"constructor",
		"toString",
		"!measured",
		"checkout%09",
		"checkout%00",
		"checkout/more",
		"%zz",
		"%E0%A4%A",
		"CHECKOUT",
	])("of the key %j is unknown", async (key) => {
		const edge = await anEdge(await publish([aState({ rollouts: [aRollout({ flags: { checkout: "true" } })] })]));
		const response = await edge.post(one(key), { context: {} });
		expect(response.status).toBe(404);
		expect(await response.json()).toMatchObject({ errorCode: "FLAG_NOT_FOUND", errorDetails: expect.any(String) });
	});

	test("is found by a percent-encoded key, and an unknown one is named decoded", async () => {
		const edge = await anEdge(await publish([aState()]));
		expect((await edge.post(one("%63heckout"), {})).status).toBe(200);
		expect(await (await edge.post(one("caf%C3%A9"), {})).json()).toMatchObject({ key: "café" });
	});

	test.each<[string, unknown, string]>([
		["no JSON", "{", "PARSE_ERROR"],
		["a list as body", "[]", "INVALID_CONTEXT"],
		["null as body", "null", "INVALID_CONTEXT"],
		["a list as context", { context: [] }, "INVALID_CONTEXT"],
		["null as context", { context: null }, "INVALID_CONTEXT"],
		["a text as context", { context: "ada" }, "INVALID_CONTEXT"],
		["a number as targeting key", { context: { targetingKey: 1 } }, "INVALID_CONTEXT"],
		["null as targeting key", { context: { targetingKey: null } }, "INVALID_CONTEXT"],
	])("is refused with %s", async (_, body, errorCode) => {
		const edge = await anEdge(await publish([aState()]));
		const response = await edge.post(checkout, body);
		expect(response.status).toBe(400);
		expect(await response.json()).toEqual({ key: "checkout", errorCode, errorDetails: expect.any(String) });
		const bulk = await edge.post(FLAGS, body);
		expect([bulk.status, await bulk.json()]).toEqual([400, { errorCode, errorDetails: expect.any(String) }]);
	});

	test("that is damaged is a PARSE_ERROR of that flag alone", async () => {
		const published = await publish([aState({ flags: [aFlag(), aFlag({ key: "natal" })] })]);
		const edge = await anEdge({
			...published,
			bodies: new Map([...published.bodies].map(([name, body]) => [name, damage(body, "checkout")])),
		});
		const response = await edge.post(checkout, {});
		expect([response.status, await response.json()]).toEqual([
			400,
			{ key: "checkout", errorCode: "PARSE_ERROR", errorDetails: expect.any(String) },
		]);
		expect((await edge.post(one("natal"), {})).status).toBe(200);
		expect(await (await edge.post(FLAGS, {})).json()).toMatchObject({
			flags: [
				{ key: "checkout", errorCode: "PARSE_ERROR" },
				{ key: "natal", value: false },
			],
		});
	});

	test("buckets a lone surrogate as U+FFFD", async () => {
		const edge = await anEdge(await publish([aState({ flags: [aFlag({ fallthrough: half })] })]));
		const response = await edge.post(checkout, '{"context":{"targetingKey":"a\\ud800b"}}');
		expect(await response.json()).toMatchObject({ metadata: { bucket: bucketOf("a\ufffdb", seedOf("checkout")) } });
	});

	test.each(["__proto__", "constructor", "toString"])("does not take the inherited %s for an attribute", async (attribute) => {
		const when = { attribute, op: "in" as const, values: ["x"] };
		const edge = await anEdge(await publish([aState({ flags: [aFlag({ rules: [{ ...german, when }] })] })]));
		expect(await (await edge.post(checkout, '{"context":{"a":{"__proto__":"x"}}}')).json()).toMatchObject({ value: false });
		expect(await (await edge.post(checkout, `{"context":{"${attribute}":"x"}}`)).json()).toMatchObject({ value: true });
		expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
	});

	test("is killed by the head's overlay", async () => {
		const overlay = { kill: ["checkout"], baseline: [] };
		const edge = await anEdge(await publish([aState({ flags: [aFlag({ fallthrough: "true" })] })], { overlay }));
		expect(await (await edge.post(checkout, {})).json()).toMatchObject({ value: false, reason: "DISABLED", metadata: { overlay: "head" } });
	});

	test("is STALE from KV's head alone", async () => {
		const edge = await anEdge(await publish([aState()]));
		edge.parts.askHead = down;
		const response = await edge.post(checkout, {});
		expect([response.status, await response.json()]).toEqual([200, expect.objectContaining({ value: false, reason: "STALE" })]);
	});

	test("comes from the environment of the key", async () => {
		const staging = aState({ environment: "staging", version: 5, flags: [aFlag({ fallthrough: "true" })] });
		const edge = await anEdge(await publish([aState(), staging]));
		expect(await (await edge.post(checkout, {}, { "X-API-Key": STAGING_KEY })).json()).toMatchObject({
			value: true,
			metadata: { snapshot: 5 },
		});
		expect(await (await edge.post(checkout, {})).json()).toMatchObject({ value: false, metadata: { snapshot: 1 } });
	});
});

describe("a body", () => {
	const stream = (bytes: number): ReadableStream<Uint8Array> => {
		let left = bytes;
		return new ReadableStream({
			pull(controller) {
				controller.enqueue(new Uint8Array(Math.min(left, 1_000)).fill(32));
				left -= 1_000;
				if (left <= 0) controller.close();
			},
		});
	};

	test("over 64 KiB is refused", async () => {
		const edge = await anEdge(await publish([aState()]));
		const large = { context: { text: "x".repeat(64 * 1024) } };
		const single = await edge.post(checkout, large);
		expect([single.status, await single.json()]).toEqual([
			413,
			{ key: "checkout", errorCode: "GENERAL", errorDetails: expect.any(String) },
		]);
		const bulk = await edge.post(FLAGS, large);
		expect([bulk.status, await bulk.json()]).toEqual([413, { errorCode: "GENERAL", errorDetails: expect.any(String) }]);
	});

	test("of unannounced length is counted while it is read", async () => {
		const edge = await anEdge(await publish([aState()]));
		expect((await edge.send(checkout, { method: "POST", headers: bearer, body: stream(10_000_000) })).status).toBe(413);
		expect((await edge.send(checkout, { method: "POST", headers: bearer, body: stream(65_000) })).status).toBe(400);
	});

	test("that is no UTF-8 is read with U+FFFD", async () => {
		const edge = await anEdge(await publish([aState()]));
		const body = new Uint8Array([...new TextEncoder().encode('{"context":{"targetingKey":"'), 0xff, ...new TextEncoder().encode('"}}')]);
		expect((await edge.send(checkout, { method: "POST", headers: bearer, body })).status).toBe(200);
	});
});

describe("a key", () => {
	test.each<[string, Record<string, string>]>([
		["none", {}],
		["a wrong one", { Authorization: "Bearer wrong" }],
		["an empty one", { Authorization: "Bearer " }],
		["a wrong X-API-Key", { "X-API-Key": "wrong" }],
		["another scheme", { Authorization: `Basic ${SDK_KEY}` }],
		["one that is too long", { Authorization: `Bearer ${SDK_KEY.repeat(20)}` }],
		["an object's own name", { "X-API-Key": "__proto__" }],
	])("opens nothing: %s", async (_, headers) => {
		const edge = await anEdge(await publish([aState()]));
		for (const [path, named] of [
			[checkout, { key: "checkout" }],
			[FLAGS, {}],
		] as const) {
			const response = await edge.post(path, {}, headers);
			expect([response.status, await response.json()]).toEqual([401, { ...named, errorCode: "GENERAL", errorDetails: expect.any(String) }]);
			expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
		}
	});

	test.each<[string, Record<string, string>]>([
		["as Bearer", { Authorization: `Bearer ${SDK_KEY}` }],
		["as bearer, in lower case", { Authorization: `bearer ${SDK_KEY}` }],
		["as X-API-Key", { "X-API-Key": SDK_KEY }],
		["as X-API-Key beside a proxy's Authorization", { Authorization: "Basic eA==", "X-API-Key": SDK_KEY }],
	])("opens its environment %s", async (_, headers) => {
		const edge = await anEdge(await publish([aState()]));
		expect((await edge.post(checkout, {}, headers)).status).toBe(200);
	});

	test("stops working when it leaves the head, although it was used before", async () => {
		const published = await publish([aState()]);
		const edge = await anEdge(published);
		expect((await edge.post(checkout, {})).status).toBe(200);
		edge.parts.head = { ...published.head, revision: 2, keys: {} };
		edge.later(8_000);
		expect((await edge.post(checkout, {})).status).toBe(401);
	});

	test("of more than 200 characters is refused unread", async () => {
		const published = await publish([aState()]);
		for (const [length, status] of [
			[200, 200],
			[201, 401],
		] as const) {
			const key = "k".repeat(length);
			const keys = { [await sha256(key)]: { environment: "production", kind: "server" as const } };
			const edge = await anEdge({ ...published, head: { ...published.head, keys } });
			expect((await edge.post(checkout, {}, { "X-API-Key": key })).status).toBe(status);
		}
	});

	test("of an environment that was never published gets 503", async () => {
		const edge = await anEdge(await publish([aState()]));
		expect((await edge.post(checkout, {}, { "X-API-Key": STAGING_KEY })).status).toBe(503);
	});
});

test("without any snapshot the answer is 503, with the time to try again", async () => {
	const published = await publish([aState({ version: 404 })]);
	const edge = await anEdge({ ...published, bodies: new Map() });
	for (const [path, named] of [
		[checkout, { key: "checkout" }],
		[FLAGS, {}],
	] as const) {
		const response = await edge.post(path, {});
		expect([response.status, response.headers.get("Retry-After")]).toEqual([503, "1"]);
		expect(await response.json()).toEqual({ ...named, errorCode: "GENERAL", errorDetails: expect.any(String) });
	}
});

describe("all flags", () => {
	const flags = [
		aFlag({ key: "natal" }),
		aFlag({ fallthrough: "true" }),
		aFlag({ key: "a.b-c", type: "number", variants: { one: 1 }, offVariant: "one", fallthrough: "one" }),
	];
	const ask = { context: { targetingKey: "ada" } };
	const etagOf = async (edge: Awaited<ReturnType<typeof anEdge>>, body: unknown = ask): Promise<string | null> =>
		(await edge.post(FLAGS, body)).headers.get("ETag");

	test("come with their snapshot's version and a strong ETag", async () => {
		const edge = await anEdge(await publish([aState({ flags, rollouts: [aRollout()] })]));
		const response = await edge.post(FLAGS, ask);
		expect(response.status).toBe(200);
		expect(response.headers.get("ETag")).toMatch(/^"[0-9a-f]{32}"$/);
		const body = await response.json<{ flags: { key: string }[] }>();
		expect(body).toMatchObject({
			flags: [
				{ key: "a.b-c", value: 1, reason: "STATIC", variant: "one", metadata: { snapshot: 1 } },
				{ key: "checkout", value: true },
				{ key: "natal", reason: "SPLIT" },
			],
			metadata: { snapshot: 1 },
		});
		for (const each of body.flags) expect(await (await edge.post(one(each.key), ask)).json()).toEqual(each);
	});

	test("are none in an empty environment", async () => {
		const edge = await anEdge(await publish([aState({ flags: [] })]));
		expect(await (await edge.post(FLAGS, {})).json()).toEqual({ flags: [], metadata: { snapshot: 1 } });
	});

	test.each<[string, (etag: string) => string]>([
		["the same", (etag) => etag],
		["weakened on the way", (etag) => `W/${etag}`],
		["one of several", (etag) => `"x", ${etag} , "y"`],
	])("are 304 when the client holds them: %s", async (_, ifNoneMatch) => {
		const edge = await anEdge(await publish([aState({ flags })]));
		const etag = (await etagOf(edge)) ?? "";
		const response = await edge.post(FLAGS, ask, { ...bearer, "If-None-Match": ifNoneMatch(etag) });
		expect([response.status, await response.text(), response.headers.get("ETag")]).toEqual([304, "", etag]);
		expect((await edge.post(FLAGS, ask, { ...bearer, "If-None-Match": '"x"' })).status).toBe(200);
	});

	test("have another ETag for another context, version, overlay, environment or staleness, and the same from another isolate", async () => {
		const staging = aState({ environment: "staging", flags });
		const published = await publish([aState({ flags }), staging]);
		const edge = await anEdge(published);
		const etag = await etagOf(edge);
		expect(await etagOf(await anEdge(published))).toBe(etag);
		const others = [
			await etagOf(edge, { context: { targetingKey: "bob" } }),
			await etagOf(edge, { context: { targetingKey: "ada", country: "DE" } }),
			(await edge.post(FLAGS, ask, { "X-API-Key": STAGING_KEY })).headers.get("ETag"),
			await etagOf(await anEdge(await publish([aState({ flags, version: 2 })]))),
			await etagOf(await anEdge(await publish([aState({ flags })], { overlay: { kill: ["natal"], baseline: [] } }))),
			await etagOf(await anEdge(await publish([aState({ flags })], { overlay: { kill: [], baseline: ["natal"] } }))),
		];
		await put(published);
		edge.parts.askHead = down;
		edge.later(30_000);
		await edge.post(FLAGS, ask);
		others.push(await etagOf(edge));
		expect(others).not.toContain(null);
		expect(new Set([etag, ...others]).size).toBe(others.length + 1);
	});
});
