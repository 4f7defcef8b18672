import { createRoute, z } from "@hono/zod-openapi";
import { checkSettings, environmentSettings, storedSettings } from "../../core/environmentSettings";
import { environmentName } from "../../core/flags/model";
import { listVersions } from "../store/environments";
import { listMetrics } from "../store/metrics";
import { type StoredSettings, changeSettings, getSettings, listSettings, resetBreaker, settingsIn } from "../store/settings";
import { breakerIn, breakersAt } from "../tick/breakers";
import { breaker, breakerAnswer } from "./breaker";
import { actOf, body, json, reason, refusals, resource } from "./context";
import { isVersion } from "./ifMatch";
import { refuse } from "./refusals";

const params = z.object({ environment: environmentName });
const ifMatch = z.object({
	"if-match": z.string().optional().describe('the version that was read, as in "3"; "0" where nothing was set yet'),
});

const settingsAnswer = z.object({
	environment: environmentName,
	...storedSettings.shape,
	version: z.int().describe("0: nobody has changed the defaults"),
	damaged: z.boolean().describe("what is stored cannot be read, so the defaults count: replace it with PUT"),
});

export const environments = resource();

environments.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "All environments, with their settings and how their breakers stand",
		responses: {
			200: {
				description: "by name",
				...json(
					z.object({
						environments: z.array(
							z.object({
								environment: z.string(),
								version: z.int().describe("of the newest snapshot that is published"),
								pending: z.boolean().describe("something has changed since"),
								breaker,
								settings: settingsAnswer.omit({ environment: true }),
							}),
						),
					}),
				),
			},
			...refusals(401),
		},
	}),
	async (c) => {
		const { db } = c.get("deps");
		const [found, settings] = await Promise.all([listVersions(db), listSettings(db)]);
		const breakers = await breakersAt(db, settings, c.get("now"));
		const all = found.map(({ name, version, isPending }) => {
			const own = settingsIn(settings, name);
			const { environment: _environment, ...said } = answer(own);
			return { environment: name, version, pending: isPending, breaker: breakerAnswer(breakerIn(breakers, name), own), settings: said };
		});
		return c.json({ environments: all }, 200);
	},
);

environments.openapi(
	createRoute({
		method: "get",
		path: "/{environment}/settings",
		summary: "What an environment's rollouts have in common",
		request: { params },
		responses: { 200: { description: "the settings; their version is the ETag", ...json(settingsAnswer) }, ...refusals(401, 422) },
	}),
	async (c) => {
		const found = await getSettings(c.get("deps").db, c.req.valid("param").environment);
		return c.json(answer(found), 200, etag(found));
	},
);

environments.openapi(
	createRoute({
		method: "put",
		path: "/{environment}/settings",
		summary: "Replace an environment's settings; what is not named has its default",
		description: "Plans that were created before keep what they say. Automation and breaker count from the next tick on.",
		request: { params, query: z.strictObject({ reason }), headers: ifMatch, ...body(environmentSettings) },
		responses: { 200: { description: "replaced", ...json(settingsAnswer) }, ...refusals(400, 401, 412, 413, 415, 422, 428) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment } = c.req.valid("param");
		const before = await getSettings(db, environment);
		const expected = c.req.valid("header")["if-match"];
		if (expected === undefined) refuse({ kind: "version_required", current: before.version });
		if (!isVersion(expected, before.version)) refuse({ kind: "settings_mismatch", current: before.version });
		const wanted = c.req.valid("json");
		const errors = checkSettings(wanted, await listMetrics(db, environment));
		if (errors.length > 0) refuse({ kind: "invalid", errors });
		const changed = await changeSettings(db, before, wanted, actOf(c, c.req.valid("query").reason));
		if (!changed) refuse({ kind: "settings_mismatch", current: (await getSettings(db, environment)).version });
		return c.json(answer(changed), 200, etag(changed));
	},
);

environments.openapi(
	createRoute({
		method: "post",
		path: "/{environment}/breaker/reset",
		summary: "Close an environment's breaker: what was rolled back until now counts no longer",
		request: { params, ...body(z.strictObject({ reason })) },
		responses: { 200: { description: "the breaker as it stands now", ...json(breaker) }, ...refusals(400, 401, 413, 415, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment } = c.req.valid("param");
		const look = async () => {
			const settings = await listSettings(db);
			return [breakerIn(await breakersAt(db, settings, c.get("now")), environment), settingsIn(settings, environment)] as const;
		};
		const [before] = await look();
		await resetBreaker(db, environment, before, actOf(c, c.req.valid("json").reason));
		return c.json(breakerAnswer(...(await look())), 200);
	},
);

function answer({ environment, settings, version, isDamaged }: StoredSettings): z.infer<typeof settingsAnswer> {
	return { environment: environment as z.infer<typeof environmentName>, ...settings, version, damaged: isDamaged };
}

const etag = ({ version }: StoredSettings) => ({ etag: `"${version}"` });
