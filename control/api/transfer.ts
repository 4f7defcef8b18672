import { createRoute, z } from "@hono/zod-openapi";
import { environmentName, flagKey } from "../../core/flags/model";
import { SIMPLE_MAPPING } from "../../core/flags/simple";
import { FLAGS_MAX, SCHEMA_VERSION, exported, imported, promoted, readImport } from "../../core/flags/transfer";
import { configOf, findFlags } from "../store/flags";
import { readExport } from "../store/transfer";
import { body, json, reason, refusals, resource } from "./context";
import { refuse } from "./refusals";
import { transfer as transferInto } from "./transferring";
import { difference } from "./versions";

/** An environment's flags as a file, and from one environment to the other. */

const itemsReport = {
	created: z.array(z.string()),
	changed: z.array(z.object({ key: z.string(), diff: z.array(difference) })),
	unchanged: z.array(z.string()),
	refused: z
		.array(z.object({ key: z.string(), errors: z.array(z.object({ pointer: z.string(), message: z.string() })) }))
		.describe("none in a success; in a refusal (422) all of them"),
};
const report = z.object({
	...itemsReport,
	segments: z.object(itemsReport),
	routes: z.object({
		...itemsReport,
		skipped: z.array(z.string()).describe("of an export of another environment: a host belongs to one, so its routes are left out"),
	}),
	applied: z.boolean().describe("false: a dry run, or refused"),
});
const ALL_OR_NOTHING =
	"All or nothing: one that is refused refuses all, with what is wrong with each; a concurrent change of the environment is 409, and nothing is written.";

export const transfer = resource();

transfer.openapi(
	createRoute({
		method: "get",
		path: "/export",
		summary: "All flags, segments and routes of an environment, as one file",
		request: { query: z.strictObject({ environment: environmentName }) },
		responses: { 200: { description: "what POST /api/v1/import takes, by key", ...json(exported) }, ...refusals(401, 422) },
	}),
	async (c) => {
		const { environment } = c.req.valid("query");
		const { flags, segments, routes, damaged } = await readExport(c.get("deps").db, environment);
		const file = { schemaVersion: SCHEMA_VERSION, environment, exportedAtMs: c.get("now"), flags, segments, routes };
		return c.json((damaged.length > 0 ? { ...file, damaged } : file) as z.infer<typeof exported>, 200);
	},
);

transfer.openapi(
	createRoute({
		method: "post",
		path: "/import",
		summary: "Write many flags, segments and routes at once",
		description: `Takes an export, or, without \`schemaVersion\`, the simple format {"flags": [{"name", "status", "rollout_percentage", "enabled_users", "enabled_groups", "conditions"}]}: ${SIMPLE_MAPPING}. ${ALL_OR_NOTHING} What is not named is left alone, and so are the routes of another environment's export. At most ${FLAGS_MAX} flags and 8 MiB a request.`,
		request: {
			query: z.strictObject({ environment: environmentName, dryRun: z.enum(["true", "false"]).default("false"), reason }),
			...body(imported),
		},
		responses: { 200: { description: "what has changed, or would", ...json(report) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { environment, dryRun, reason: why } = c.req.valid("query");
		const wanted = readImport(c.req.valid("json"), environment);
		const isDryRun = dryRun === "true";
		return c.json(await transferInto(c, { environment, wanted, isDryRun, reason: why, verb: "imported" }), 200);
	},
);

transfer.openapi(
	createRoute({
		method: "post",
		path: "/promote",
		summary: "Take flags from one environment to another",
		description: `Segments that the flags name must be there, and so must the flags that they require, unless they are promoted along. \`enabled\` of a flag that is there stays as it is: a promotion never un-kills. ${ALL_OR_NOTHING}`,
		request: body(
			z.strictObject({
				from: environmentName,
				to: environmentName,
				flags: z.array(flagKey).min(1).max(FLAGS_MAX),
				dryRun: z.boolean().default(false),
				reason,
			}),
		),
		responses: { 200: { description: "what has changed, or would", ...json(report) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { from, to, flags: keys, dryRun: isDryRun, reason: why } = c.req.valid("json");
		if (from === to) refuse({ kind: "invalid", errors: [{ pointer: "/to", message: `is ${from}, where they come from` }] });
		const found = await findFlags(c.get("deps").db, from, keys);
		const sources = keys.map((key) => {
			const source = found.get(key);
			if (source === undefined) return { missing: key, why: `there is no flag ${key} in ${from}` };
			return source === "damaged" ? { missing: key, why: `the flag ${key} of ${from} cannot be read` } : configOf(source);
		});
		return c.json(await transferInto(c, { environment: to, wanted: promoted(sources), isDryRun, reason: why, verb: "promoted" }), 200);
	},
);
