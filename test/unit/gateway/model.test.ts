import { describe, expect, test } from "vitest";
import { fieldErrors } from "../../../core/flags/fieldErrors";
import { checkProtection, checkRoute } from "../../../core/gateway/check";
import { changesTwice, packProtection, packRoute, protection, route, storedRoute } from "../../../core/gateway/model";

const ORIGINS = { blue: "https://blue.example.com/base/", green: { service: "GREEN" } };
const given = { key: "shop", host: "Shop.Example.com:8443", flag: "store", origins: ORIGINS };

describe("a route", () => {
	test("is packed with its defaults, names in lower case and times in milliseconds", () => {
		const wanted = {
			...given,
			path: "/shop/:id/*",
			targeting: { header: "X-User" },
			context: { plan: "X-Plan" },
			timeout: "5s",
			shadow: { variant: "green", sample: 12.5, compare: { headers: ["ETag"], body_max: 2_048 } },
		};
		expect(packRoute(route.parse(wanted))).toEqual({
			key: "shop",
			host: "shop.example.com:8443",
			path: ["shop", ":", "*"],
			flag: "store",
			origins: { blue: { url: "https://blue.example.com/base" }, green: { service: "GREEN" } },
			targeting: { header: "x-user" },
			context: { plan: "x-plan" },
			forward: [],
			timeoutMs: 5_000,
			retry: true,
			fuse: true,
			errors: [],
			shadow: {
				variant: "green",
				sample: 12_500,
				methods: ["GET", "HEAD"],
				comparison: { status: true, headers: ["etag"], body: "json", ignore: [], tolerance: {}, redact: [], bodyBytesMax: 2_048 },
			},
			priority: 5,
			exempt: false,
			bodyBytesMax: 104_857_600,
			headerBytesMax: 32_768,
		});
	});

	test("is stored as it was read, and a field of a later version is dropped, not refused", () => {
		const read = route.parse(given);
		expect(storedRoute.parse(JSON.parse(JSON.stringify(read)))).toEqual(read);
		for (const later of [
			{ ...read, later: 1 },
			{ ...read, targeting: { visitor: true, later: 1 } },
		]) {
			expect(storedRoute.parse(later)).toEqual(read);
			expect(route.safeParse(later).success).toBe(false);
		}
		const compared = route.parse({ ...given, shadow: { variant: "green" } });
		const shadow = { ...compared.shadow, later: 1, compare: { ...compared.shadow?.compare, later: 1 } };
		expect(storedRoute.parse({ ...compared, shadow })).toEqual(compared);
	});

	test("that compares by other than safe methods changes something twice", () => {
		const methods = ["GET", "OPTIONS", "POST", "DELETE"];
		expect(changesTwice(route.parse({ ...given, shadow: { variant: "green", methods } }))).toEqual(["POST", "DELETE"]);
		expect(changesTwice(route.parse(given))).toEqual([]);
	});

	test.each([
		["host", "a b"],
		["host", "a..b"],
		["host", "-a.example.com"],
		["host", "user@example.com"],
		["host", "shop.example.com."],
		["host", "shop.example.com:443"],
		["host", "shop.example.com:80"],
		["host", "shop.example.com:65536"],
		["timeout", "0s"],
		["timeout", "6m"],
		["origin", "https://example.com/?a=1"],
		["origin", "https://user@example.com/"],
		["origin", "javascript:alert(1)"],
		["origin", { service: "lower" }],
		["timeout", "soon"],
		["priority", 10],
		["errors", [500]],
		["context", { plan: "bad header" }],
		["targeting", { cookie: "a;b" }],
		["shadow", { variant: "green", sample: 101 }],
		["shadow", { variant: "green", compare: { ignore: ["$..a"] } }],
	])("with %s %j is refused", (field, value) => expect(route.safeParse({ ...given, [field]: value }).success).toBe(false));

	test("is told every mistake that its fields alone do not show", () => {
		const flags = new Map([["store", ["blue", "green", "red"]]]);
		const wanted = route.parse({ ...given, origin: "https://x.example.com", forward: ["store", "nobody"], shadow: { variant: "red" } });
		expect(checkRoute(wanted, flags, (url) => (url.includes("blue") ? "is no address" : undefined))).toEqual([
			{ pointer: "/origin", message: "is where all requests go: leave out flag and origins, or this" },
			{ pointer: "/origins", message: "has no origin for red: flag store has blue, green, red" },
			{ pointer: "/forward/1", message: "there is no flag nobody" },
			{ pointer: "/shadow/variant", message: '"red" has no origin: blue, green have' },
			{ pointer: "/origins/blue", message: "is no address" },
		]);
	});
});

describe("a protection", () => {
	const until = "2026-01-31T12:00:00Z";
	const untilMs = Date.UTC(2026, 0, 31, 12);

	test("is packed with its end and its share of requests", () => {
		expect(packProtection(protection.parse({ key: "flood", kind: "shed", share: 12.5, until, host: "A.example.com" }))).toEqual({
			key: "flood",
			kind: "shed",
			share: 12_500,
			upTo: 5,
			exempt: [["health"], ["health", "*"], ["healthz"], ["livez"], ["readyz"]],
			untilMs,
			host: "a.example.com",
		});
		expect(packProtection(protection.parse({ key: "door", kind: "lock_down", segments: ["staff"], until }))).toEqual({
			key: "door",
			kind: "lock_down",
			segments: ["staff"],
			untilMs,
		});
	});

	test.each([{ kind: "flood" }, {}])("of %j is told the kinds that there are", (written) => {
		const { error } = protection.safeParse({ key: "flood", until, ...written });
		expect(fieldErrors(error?.issues ?? [], written)).toEqual([{ pointer: "/kind", message: "takes shed, lock_down or isolate" }]);
	});

	test.each<[what: string, nowMs: number, pointers: readonly string[]]>([
		["a millisecond before its end", untilMs - 1, []],
		["at its end", untilMs, ["/until"]],
		["seven days before it", untilMs - 7 * 86_400_000, []],
		["more than seven days before it", untilMs - 7 * 86_400_000 - 1, ["/until"]],
	])("set %s", (_, nowMs, pointers) => {
		const shed = protection.parse({ key: "flood", kind: "shed", share: 1, until });
		expect(checkProtection(shed, untilMs, new Set(), nowMs).map(({ pointer }) => pointer)).toEqual(pointers);
	});
});
