import { describe, expect, test } from "vitest";
import { BUCKETS, bucketOf, seedOf } from "../../../core/flags/bucket";
import { evaluate } from "../../../core/flags/evaluate";
import { NO_OVERLAY } from "../../../core/flags/overlay";
import { type Ring, servedTo } from "../../../core/flags/rings";
import { aRollout, aSegment, anEnvironment, open } from "./fixtures";

const segments = [
	aSegment({ key: "internal", keys: ["anna"] }),
	aSegment({ key: "beta", keys: ["anna", "bob"] }),
	aSegment({ key: "pro", when: { attribute: "plan", op: "in", values: ["pro"] } }),
];
const [internal, beta, everybody] = [
	{ segment: "internal", served: 50_000 },
	{ segment: "beta", served: 20_000 },
	{ segment: null, served: 1_000 },
] as const;
const gone = { segment: "gone", served: BUCKETS };

const served = (rings: readonly Ring[] | undefined, user: string): number | undefined =>
	servedTo({ served: 7, ...(rings ? { rings } : {}) }, open(anEnvironment({ segments })), { targetingKey: user });

test.each<[string, readonly Ring[] | undefined, string, number | undefined]>([
	["without rings everybody is served alike", undefined, "anna", 7],
	["whoever is in a ring is served that", [internal], "anna", 50_000],
	["whoever is in none is outside", [internal, beta], "carl", undefined],
	["whoever is in several is served the most of them", [beta, internal], "anna", 50_000],
	["whoever is in several is served the most of them, in whatever order", [internal, beta], "anna", 50_000],
	["whoever is in one of several is served that", [internal, beta], "bob", 20_000],
	["a ring for everybody has everybody in it", [internal, everybody], "carl", 1_000],
	["a ring for everybody serves nobody less", [everybody, internal], "anna", 50_000],
	["a ring that serves nobody has people in it all the same", [{ segment: "beta", served: 0 }], "bob", 0],
	["a ring that cannot be read has nobody in it", [gone], "anna", undefined],
	["a ring that cannot be read keeps nobody from another", [gone, beta, everybody], "bob", 20_000],
	["no rings have nobody in them", [], "anna", undefined],
])("%s", (_, rings, user, expected) => expect(served(rings, user)).toBe(expected));

describe("an evaluation", () => {
	const bucket = bucketOf("bob", seedOf("checkout.1"));
	const resolved = (rings: readonly Ring[], context: Record<string, unknown> = { targetingKey: "bob" }) =>
		evaluate(open(anEnvironment({ segments, rollouts: [aRollout({ served: BUCKETS, rings })] })), NO_OVERLAY, "checkout", context);

	test("goes by the user's ring, whatever the newest one serves", () => {
		expect(resolved([{ segment: "beta", served: bucket + 1 }])).toMatchObject({ variant: "true", reason: "SPLIT", metadata: { bucket } });
		expect(resolved([{ segment: "beta", served: bucket }])).toMatchObject({ variant: "false", reason: "SPLIT", metadata: { bucket } });
	});

	test("of whoever is in none serves the baseline, and says so", () => {
		expect(resolved([internal])).toEqual({
			value: false,
			variant: "false",
			reason: "DEFAULT",
			metadata: { snapshot: 7, rollout: "checkout.1", outside: true },
		});
	});

	test("of a user without the attribute of a ring's segment serves the baseline", () => {
		expect(resolved([{ segment: "pro", served: BUCKETS }])).toMatchObject({ variant: "false", metadata: { outside: true } });
		expect(resolved([{ segment: "pro", served: BUCKETS }], { targetingKey: "bob", plan: "pro" })).toMatchObject({ variant: "true" });
	});

	test("without a key is that of nobody, in a ring or not", () => {
		expect(resolved([{ segment: "pro", served: BUCKETS }], { plan: "pro" })).toMatchObject({ variant: "false", metadata: { noKey: true } });
	});
});
