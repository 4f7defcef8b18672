import { GrowthBookClient } from "@growthbook/growthbook";

let client;

/** GrowthBook's SDK as one would put it into a Worker: the payload in memory, one evaluation a request. */
export default {
	async fetch(request, env) {
		client ??= new GrowthBookClient().initSync({ payload: { features: env.FEATURES } });
		const key = request.url.slice(request.url.lastIndexOf("/") + 1);
		const { context } = await request.json();
		const result = client.evalFeature(key, { attributes: { ...context, id: context.targetingKey } });
		return Response.json({
			key,
			value: result.value,
			reason: result.source,
			variant: result.experimentResult?.key ?? "",
			metadata: { rule: result.ruleId },
		});
	},
};
