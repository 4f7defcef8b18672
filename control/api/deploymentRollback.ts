import { createRoute, z } from "@hono/zod-openapi";
import { environmentName, flagKey } from "../../core/flags/model";
import { type Emergency, takeBack } from "../store/emergency";
import { actOf, body, json, publishBehind, refusals, resource } from "./context";
import { refuse } from "./refusals";

const KEYS_MAX = 1_000;
const keys = z.array(flagKey).min(1).max(KEYS_MAX);

const emergency = z
	.strictObject({
		environment: environmentName.default("production"),
		flags: keys.optional().describe("the rollouts that hold these flags"),
		rollouts: keys.optional().describe("these rollouts"),
		all: z.literal(true).optional().describe("every live rollout of the environment"),
		kill: z.boolean().default(false).describe("with flags: they are switched off besides, in a rollout or not"),
		reason: z.string().trim().min(1).max(1_000).describe("kept in the audit"),
	})
	.superRefine(({ flags, rollouts, all, kill }, context) => {
		const given = [flags, rollouts, all].filter((each) => each !== undefined).length;
		if (given !== 1) context.addIssue({ code: "custom", path: [], message: "takes one of flags, rollouts and all: true" });
		if (kill && flags === undefined)
			context.addIssue({ code: "custom", path: ["kill"], message: "needs flags, by which it is told what to kill" });
	});

const outcome = z.object({
	environment: environmentName,
	rolledBack: z.array(z.string()).describe("rollouts that this call has ended"),
	killed: z.array(z.string()).describe("flags that this call has switched off"),
	notInRollout: z.array(z.string()).describe("flags that were named and are in no rollout"),
	unknown: z.array(z.string()).describe("what was named and is not in this environment"),
	headRevision: z.int().describe("an edge that has heard of it serves nobody what was taken back"),
	publishing: z.literal(true),
});

export const deploymentRollback = resource();

deploymentRollback.openapi(
	createRoute({
		method: "post",
		path: "/rollback/manual",
		summary: "Emergency: roll back everything, or what is named, in one transaction",
		description:
			"Served at the edge within 10 s of this answer. Sent again it finds nothing live, and changes nothing. What cannot be read is rolled back too, what is scheduled is cancelled, drafts stay.",
		request: body(emergency),
		responses: { 200: { description: "done", ...json(outcome) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { environment, flags, rollouts, kill, reason } = c.req.valid("json");
		const of: Emergency["of"] = flags ? { kind: "flags", keys: flags } : rollouts ? { kind: "rollouts", keys: rollouts } : { kind: "all" };
		const done = await takeBack(db, { environment, of, kill }, actOf(c, reason), realNow());
		if (!done) refuse({ kind: "changed_meanwhile" });
		publishBehind(c);
		const { rolledBack, killed, notInRollout, unknown, headRevision } = done;
		return c.json(
			{
				environment,
				rolledBack: [...rolledBack],
				killed: [...killed],
				notInRollout: [...notInRollout],
				unknown: [...unknown],
				headRevision,
				publishing: true as const,
			},
			200,
		);
	},
);
