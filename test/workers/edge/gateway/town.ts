import type * as z from "zod";
import { bucketOf, seedOf } from "../../../../core/flags/bucket";
import type { Flag } from "../../../../core/flags/model";
import type { LiveRollout } from "../../../../core/flags/snapshot";
import type { route } from "../../../../core/gateway/model";
import type { PackedProtection } from "../../../../core/gateway/packed";
import type { Point } from "../../../../core/telemetry";
import { aFlag, aRollout, aRoute, aState, publish } from "../fixture";
import { anEdge } from "../harness";

/** A shop behind the gateway: blue is the baseline, green the candidate, for half of its users. */

export const SHOP = "https://shop.example";

const bucket = (key: string): number => bucketOf(key, seedOf("to-green"));
function userIn(isIn: (bucket: number) => boolean): string {
	for (let i = 0; ; i++) if (isIn(bucket(`user-${i}`))) return `user-${i}`;
}
export const candidate = userIn((found) => found < 50_000);
export const control = userIn((found) => found >= 50_000);
/** As many users of the candidate as are wanted. */
export const candidates = (count: number): string[] => {
	const found: string[] = [];
	for (let i = 0; found.length < count; i++) if (bucket(`user-${i}`) < 50_000) found.push(`user-${i}`);
	return found;
};

export interface Asked {
	/** "blue" or "green", from the origin's host. */
	readonly origin: string;
	readonly url: string;
	readonly method: string;
	readonly headers: Headers;
	readonly init: RequestInit;
}

interface Change {
	readonly route?: Partial<z.input<typeof route>>;
	readonly routes?: readonly Partial<z.input<typeof route>>[];
	readonly rollout?: Partial<LiveRollout> | null;
	readonly protections?: readonly PackedProtection[];
	readonly flag?: Partial<Flag>;
	readonly userHashKey?: string | undefined;
	readonly previewKey?: string | undefined;
}

export async function aShop(change: Change = {}) {
	const { rollout = {}, protections = [], route: own = {}, routes = [own], flag = {}, ...secrets } = change;
	const crew = { key: "crew", description: "", when: { attribute: "crew", op: "equals" as const, values: ["yes"] } };
	const state = aState({
		flags: [aFlag({ key: "green", ...flag }), aFlag({ key: "banner" })],
		segments: [{ segment: crew, listed: "" }],
		rollouts: rollout === null ? [] : [aRollout({ key: "to-green", flags: { green: "true" }, ...rollout })],
		gateway: {
			routes: routes.map((each) => aRoute({ targeting: { header: "x-user" }, context: { crew: "x-crew" }, ...each })),
			protections,
		},
	});
	const published = await publish([state]);
	const edge = await anEdge(published, secrets);
	const asked: Asked[] = [];
	const shop = {
		...edge,
		published,
		asked,
		/** What the origins answer. */
		answer: async ({ origin }: Asked): Promise<Response> => new Response(origin),
		/** A request of a user, and what went on behind it. */
		get: (user: string, path = "/", init: RequestInit = {}): Promise<Response> =>
			edge.send(`${SHOP}${path}`, { ...init, headers: { "x-user": user, ...(init.headers as Record<string, string>) } }),
		/** The answer alone: its body is not read, and what goes on behind it goes on. */
		respondTo: (user: string, path = "/"): Promise<Response> => edge.respond(`${SHOP}${path}`, { headers: { "x-user": user } }),
		points: (): Point[] => edge.recorded.flatMap(({ points }) => points),
	};
	edge.parts.ask = (to, url, init) => {
		const one = {
			origin: "url" in to ? new URL(to.url).hostname.replace(".example", "") : to.service,
			url,
			method: init.method ?? "GET",
			headers: new Headers(init.headers),
			init,
		};
		asked.push(one);
		// Whoever gives up is not kept waiting, as with fetch.
		const given = new Promise<never>((_, fail) => init.signal?.addEventListener("abort", () => fail(new Error("aborted"))));
		return Promise.race([shop.answer(one), given]);
	};
	return shop;
}

export const failing = async (): Promise<Response> => new Response("broken", { status: 500 });
export const hanging = (): Promise<Response> => new Promise(() => undefined);

/** A signal of a criterion that looks at a metric. */
export const looksAt = (metric: string) => ({ key: metric, metric, slot: 0, harm: null });
