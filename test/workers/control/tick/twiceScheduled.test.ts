import { createExecutionContext, createScheduledController, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import worker from "../../../../control/index";
import { NOW_MS, twoAtOnce } from "./pairs";

/** By the Worker's own entry, as cron calls it; without subscribers, whom it would look for in the network. */
twoAtOnce(
	Number(env.TEST_PAIRS),
	async () => {
		const context = createExecutionContext();
		await worker.scheduled(createScheduledController({ cron: "* * * * *", scheduledTime: new Date(NOW_MS) }), env);
		await waitOnExecutionContext(context);
	},
	() => env.DB.prepare("DELETE FROM webhooks").run(),
);
