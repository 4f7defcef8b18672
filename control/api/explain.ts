import { createRoute, z } from "@hono/zod-openapi";
import { compareSnapshots } from "../../core/flags/compare";
import { explain } from "../../core/flags/explain";
import { checkFlag, environmentName, flag, flagKey } from "../../core/flags/model";
import { NO_OVERLAY, parseOverride, unite } from "../../core/flags/overlay";
import { type Snapshot, openSnapshot } from "../../core/flags/ruleset";
import { pack } from "../../core/flags/snapshot";
import { bodyKey, overrideKey } from "../../core/wire";
import { tableOf } from "../patterns/tables";
import { bodyOf, readHead, stateOf } from "../store/publication";
import type { Publisher } from "../tick/publish";
import { body, json, refusals, resource } from "./context";
import { refuse } from "./refusals";

const CONTEXTS_MAX = 1_000;
/** Evaluations of both snapshots together, some hundred milliseconds. */
const ANSWERS_MAX = 200_000;

const context = z.record(z.string(), z.unknown());
const version = z
	.int()
	.min(1)
	.max(2 ** 31);

export const explanations = resource();

explanations.openapi(
	createRoute({
		method: "post",
		path: "/explain",
		summary: "Why a context is served what it is served, step by step",
		description: "Of the snapshot that is announced now, under the overlays in force, or of an earlier version, under none.",
		request: body(z.strictObject({ environment: environmentName, flag: flagKey, context, version: version.optional() })),
		responses: {
			200: {
				description: "the walk, and the resolution that it came to",
				...json(z.object({ snapshot: z.int(), steps: z.array(z.string()), resolution: z.unknown() })),
			},
			...refusals(400, 401, 404, 413, 415, 422),
		},
	}),
	async (c) => {
		const asked = c.req.valid("json");
		const { publisher, announced, overlay } = await announcedIn(c.get("deps"), asked.environment);
		const snapshot = await openVersion(publisher, asked.environment, asked.version ?? announced);
		const inForce = snapshot.version === announced ? overlay : NO_OVERLAY;
		const { steps, resolution } = explain(snapshot, inForce, asked.flag, asked.context);
		return c.json({ snapshot: snapshot.version, steps: [...steps], resolution }, 200);
	},
);

const ignored = z.unknown().optional().describe("not looked at");
/** As GET or an export gives it. */
const proposedFlag = z.strictObject({ ...flag.shape, environment: ignored, version: ignored, updatedAtMs: ignored });

const changedFlag = z.object({
	flag: z.string(),
	changed: z.int(),
	examples: z.array(z.object({ context: z.int(), before: z.string().nullable(), after: z.string().nullable() })),
});

explanations.openapi(
	createRoute({
		method: "post",
		path: "/compare-snapshots",
		summary: "How many answers a change makes different, for given contexts",
		description:
			"Compares two versions, or the announced one with flags as they are proposed: the blast radius of a change before it is made. Overlays are left out.",
		request: body(
			z.strictObject({
				environment: environmentName,
				from: version.optional().describe("default: the announced version"),
				to: version.optional(),
				proposed: z.array(proposedFlag).min(1).max(100).optional().describe("whole flags, in place of `to`"),
				flags: z.array(flagKey).min(1).max(1_000).optional().describe("default: all"),
				contexts: z.array(context).min(1).max(CONTEXTS_MAX),
			}),
		),
		responses: {
			200: {
				description: "what changes, by flag and by segment",
				...json(
					z.object({
						from: z.int(),
						to: z.int().nullable().describe("null: what was proposed"),
						answers: z.int(),
						changed: z.int(),
						flags: z.array(changedFlag),
						segments: z.array(z.object({ segment: z.string(), members: z.int(), changed: z.int() })),
					}),
				),
			},
			...refusals(400, 401, 404, 413, 415, 422),
		},
	}),
	async (c) => {
		const { environment, from, to, proposed, flags, contexts } = c.req.valid("json");
		if ((to === undefined) === (proposed === undefined))
			refuse({ kind: "invalid", errors: [{ pointer: "/to", message: "name either a version to compare with, or proposed flags" }] });
		const { publisher, announced } = await announcedIn(c.get("deps"), environment);
		const before = await openVersion(publisher, environment, from ?? announced);
		const after =
			to === undefined ? await openProposed(publisher, environment, proposed ?? []) : await openVersion(publisher, environment, to);
		const keys = flags ?? [...new Set([...before.keys(), ...after.keys()])].sort();
		// Each segment is asked about each context too.
		const looked = keys.length + after.segments().length;
		const answers = looked * contexts.length;
		if (answers > ANSWERS_MAX)
			refuse({
				kind: "invalid",
				errors: [
					{
						pointer: "/contexts",
						message: `${looked} flags and segments × ${contexts.length} contexts = ${answers} > limit ${ANSWERS_MAX}: name flags, or fewer contexts`,
					},
				],
			});
		const found = compareSnapshots(before, after, keys, contexts);
		return c.json({ from: before.version, to: to ?? null, ...mutable(found) }, 200);
	},
);

/** The version that edges are told of, and the overlays that they serve it under. */
async function announcedIn(publisher: Publisher, environment: string) {
	const { head } = await readHead(publisher.db);
	const named = head.environments[environment];
	if (!named) return refuse({ kind: "not_found", what: `published snapshot of ${environment} yet` });
	const byHand = parseOverride(await publisher.kv.get(overrideKey(environment), "json").catch(() => null));
	const overlay = unite({ head: named.overlay, ...(byHand ? { "break-glass": byHand } : {}) });
	return { publisher, announced: named.version, overlay };
}

async function openVersion({ db, kv }: Publisher, environment: string, wanted: number): Promise<Snapshot> {
	const text = (await bodyOf(db, environment, wanted)) ?? (await kv.get(bodyKey(environment, wanted)));
	return open(
		text ??
			refuse({
				kind: "not_found",
				what: `snapshot ${wanted} of ${environment}: quick changes are published together, under the newest version`,
			}),
	);
}

/** The state as it would be packed with these flags in it. */
async function openProposed({ db }: Publisher, environment: string, proposed: readonly z.infer<typeof flag>[]): Promise<Snapshot> {
	const errors = proposed.flatMap((each, i) =>
		checkFlag(each).map(({ pointer, message }) => ({ pointer: `/proposed/${i}${pointer}`, message })),
	);
	if (errors.length > 0) refuse({ kind: "invalid", errors });
	const state = (await stateOf(db, environment)) ?? refuse({ kind: "not_found", what: `environment ${environment}` });
	const replaced = new Set(proposed.map(({ key }) => key));
	const flags = [...state.flags.filter(({ key }) => !replaced.has(key)), ...proposed];
	const damaged = state.damaged.filter((key) => !replaced.has(key));
	return open(pack({ ...state, flags, damaged }, tableOf).body);
}

function open(text: string): Snapshot {
	const decoder = new TextDecoder();
	return openSnapshot(new TextEncoder().encode(text), (bytes) => decoder.decode(bytes));
}

function mutable({ answers, changed, flags, segments }: ReturnType<typeof compareSnapshots>) {
	return { answers, changed, flags: flags.map((each) => ({ ...each, examples: [...each.examples] })), segments: [...segments] };
}
