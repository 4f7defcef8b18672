import * as z from "zod";
import { flagKey } from "../flags/model";
import { parseInstant } from "../flags/instant";
import { bucketsOf } from "../flags/snapshot";
import { durationMs } from "../rollouts/duration";
import { parsePath } from "./path";
import type { Comparison, Origin, PackedProtection, PackedRoute } from "./packed";

/** Routes and protections as people write them. */

const KIB = 1_024;
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
const SAFE = ["GET", "HEAD", "OPTIONS"];

const [TIMEOUT_MS_MIN, TIMEOUT_MS_MAX] = [1_000, 300_000];
const answerTimeout = z.string().refine((text) => {
	const ms = durationMs(text);
	return ms !== undefined && ms >= TIMEOUT_MS_MIN && ms <= TIMEOUT_MS_MAX;
}, 'takes a duration from 1s to 5m, as in "30s"');
const percent = z.number().min(0).max(100);
const headerName = z
	.string()
	.max(63)
	.regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "takes the name of a header")
	.transform((name) => name.toLowerCase());
const cookieName = z.string().regex(/^[A-Za-z0-9_.-]{1,63}$/, "takes the name of a cookie");
const HOST = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::([1-9]\d{0,4}))?$/;

function isHost(text: string): boolean {
	const found = HOST.exec(text);
	const port = Number(found?.[1] ?? 1);
	// URLs are without the default ports, so a host with one of them would never be met.
	return found !== null && port <= 65_535 && port !== 80 && port !== 443;
}

export const host = z
	.string()
	.max(253)
	.transform((text) => text.toLowerCase())
	.refine(isHost, "takes a host without http://, as in shop.example.com, and no port that is the default one");
const origin = z.union([
	z
		.string()
		.max(2_000)
		.regex(/^https?:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?$/i, "takes a URL without a query, as in https://blue.example.com"),
	z.strictObject({ service: z.string().regex(/^[A-Z][A-Z0-9_]{0,62}$/, "takes the name of a service binding, as in BLUE") }),
]);
const jsonPath = z
	.string()
	.max(200)
	.regex(/^\$(?:\.[A-Za-z0-9_-]+|\[(?:\d+|\*)\])*$/, 'takes a path, as in "$.items[*].id"');

/** Such records ride in the snapshot, and are walked with each request. */
const NAMED_MAX = 50;
const few = (given: object): boolean => Object.keys(given).length <= NAMED_MAX;
const tooMany = `takes at most ${NAMED_MAX}`;

/** `object`: z.strictObject refuses unknown fields, as routes are read; z.object drops them, so that a stored one outlives a deployment and its return. */
function routeBy(object: typeof z.strictObject) {
	const comparison = object({
		status: z.boolean().default(true),
		headers: z.array(headerName).max(20).default([]),
		body: z.enum(["none", "bytes", "text", "json"]).default("json"),
		ignore: z.array(jsonPath).max(50).default([]).describe("paths into the JSON that may differ"),
		tolerance: z.record(jsonPath, z.number().min(0)).refine(few, tooMany).default({}).describe("path → by how much two numbers may differ"),
		redact: z.array(jsonPath).max(50).default([]).describe("paths whose values no sample keeps"),
		body_max: z
			.int()
			.min(KIB)
			.max(KIB * KIB)
			.default(256 * KIB)
			.describe("bytes; a larger body is compared by nothing"),
	});
	const shadow = object({
		variant: z.string().max(63).describe("the variant whose origin answers besides, unheard by the user"),
		sample: percent.default(100).describe("percent of requests"),
		methods: z.array(z.enum(METHODS)).min(1).default(["GET", "HEAD"]).describe("others than safe ones change something twice"),
		compare: comparison.prefault({}),
	});
	return object({
		key: flagKey,
		host,
		path: z
			.string()
			.refine((text) => parsePath(text) !== undefined, 'takes a path: "/api/*", "/users/:id/orders", or "/*" for all')
			.default("/*"),
		methods: z.array(z.enum(METHODS)).min(1).optional().describe("default all"),
		origin: origin.optional(),
		flag: flagKey.optional().describe("whose variant decides the origin"),
		origins: z.record(z.string().max(63), origin).optional().describe("variant → origin"),
		targeting: z
			.union([object({ header: headerName }), object({ cookie: cookieName }), object({ visitor: z.literal(true) })])
			.default({ visitor: true })
			.describe("who asks: by a header, by a cookie, or by a cookie that is set here for a year"),
		context: z.record(z.string().min(1).max(200), headerName).refine(few, tooMany).default({}).describe("attribute → header"),
		forward: z.array(flagKey).max(50).default([]).describe("flags that the origin is told of, in x-tidegate-flags"),
		timeout: answerTimeout.default("30s").describe("until the origin begins to answer; an upload that goes on is waited for"),
		retry: z.boolean().default(true),
		fuse: z.boolean().default(true),
		errors: z.array(z.int().min(400).max(499)).max(20).default([]).describe("statuses that are errors too, besides 5xx"),
		shadow: shadow.optional(),
		priority: z.int().min(0).max(9).default(5).describe("0 is shed first, 9 last"),
		exempt: z.boolean().default(false).describe("never shed"),
		body_max: z
			.int()
			.min(0)
			.max(5 * KIB * KIB * KIB)
			.default(100 * KIB * KIB),
		header_max: z
			.int()
			.min(KIB)
			.max(128 * KIB)
			.default(32 * KIB),
	});
}
export const route = routeBy(z.strictObject);
export type Route = z.infer<typeof route>;
/** As it is replaced: the path of the request says which. */
export const routeReplacement = route.partial({ key: true });
/** As it is read from where it is kept. */
export const storedRoute = routeBy(z.object);

const exemptPath = z.string().refine((text) => parsePath(text) !== undefined, 'takes a path, as in "/health/*"');
/** What load balancers and monitors ask: without an answer they would take the origin for dead. */
const HEALTH_PATHS = ["/health", "/health/*", "/healthz", "/livez", "/readyz"];

const instant = z.string().refine((text) => parseInstant(text) !== undefined, 'is no RFC 3339 time: write "2026-01-31T12:00:00Z"');
const common = {
	host: host.optional().describe("default: all hosts of the environment"),
	until: instant.describe("it ends by itself"),
};
const segments = z.array(flagKey).min(1).max(20);
const protectionBy = <K extends z.ZodType<string | undefined>>(key: K, object: typeof z.strictObject) =>
	z.discriminatedUnion(
		"kind",
		[
			object({
				key,
				...common,
				kind: z.literal("shed"),
				share: percent.describe("percent of requests that are refused"),
				upTo: z.int().min(0).max(9).default(5).describe("of priorities up to this one"),
				exempt: z.array(exemptPath).max(50).default(HEALTH_PATHS).describe("paths that are never refused"),
			}),
			object({ key, ...common, kind: z.literal("lock_down"), segments }),
			object({ key, ...common, kind: z.literal("isolate"), segments }),
		],
		{ error: ({ code }) => (code === "invalid_union" ? "takes shed, lock_down or isolate" : undefined) },
	);
export const protection = protectionBy(flagKey, z.strictObject);
/** As it is put: the path of the request says which. */
export const protectionReplacement = protectionBy(flagKey.optional(), z.strictObject);
/** As it is read from where it is kept. */
export const storedProtection = protectionBy(flagKey, z.object);
export type Protection = z.infer<typeof protection>;

const packedOrigin = (given: z.infer<typeof origin>): Origin => (typeof given === "string" ? { url: given.replace(/\/+$/, "") } : given);

export function packRoute({
	path,
	origin: single,
	origins,
	shadow: compared,
	timeout,
	body_max,
	header_max,
	flag,
	methods,
	...rest
}: Route): PackedRoute {
	return {
		...rest,
		path: parsePath(path) ?? ["*"],
		timeoutMs: durationMs(timeout) ?? 30_000,
		bodyBytesMax: body_max,
		headerBytesMax: header_max,
		...(methods ? { methods } : {}),
		...(single === undefined ? {} : { origin: packedOrigin(single) }),
		...(flag === undefined ? {} : { flag }),
		...(origins ? { origins: Object.fromEntries(Object.entries(origins).map(([variant, each]) => [variant, packedOrigin(each)])) } : {}),
		...(compared
			? {
					shadow: {
						variant: compared.variant,
						sample: bucketsOf(compared.sample),
						methods: compared.methods,
						comparison: packComparison(compared.compare),
					},
				}
			: {}),
	};
}

function packComparison({ body_max: bodyBytesMax, ...rest }: NonNullable<Route["shadow"]>["compare"]): Comparison {
	return { ...rest, bodyBytesMax };
}

export function packProtection(given: Protection): PackedProtection {
	const { until, host: own, ...rest } = given;
	const base = { untilMs: parseInstant(until) ?? 0, ...(own === undefined ? {} : { host: own }) };
	if (rest.kind !== "shed") return { ...rest, ...base };
	return { ...rest, ...base, share: bucketsOf(rest.share), exempt: rest.exempt.map(parsePath).filter((each) => each !== undefined) };
}

/** Whether a route's shadow asks more than safe methods: what it sends twice happens twice. */
export const changesTwice = ({ shadow: compared }: Route): readonly string[] =>
	(compared?.methods ?? []).filter((method) => !SAFE.includes(method));
