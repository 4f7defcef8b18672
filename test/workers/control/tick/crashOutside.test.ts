import { storedChecks } from "../../../../core/checks/model";
import { aWebhook } from "../notify/fixtures";
import { dyingIn } from "./dying";
import { HARMFUL, outcomes, started } from "./fixtures";

/** What a tick asks of others: checks, rollback steps, webhooks. What was under way when it died may be asked again. */

dyingIn({
	"checks, then the start": {
		arrange: async () => {
			const http = "https://origin.example/health";
			await started("checked", {
				checks: storedChecks.parse([
					{ name: "smoke", http },
					{ name: "owned", hygiene: true },
				]),
			});
			await started("checks-too", { checks: storedChecks.parse([{ name: "smoke", http }]) });
		},
		ticks: 2,
		kinds: ["start"],
	},
	"what follows a rollback, and who is told": {
		arrange: async () => {
			const steps = ["purge", "restart"].map((name) => ({ name, http: "https://origin.example/" }));
			await outcomes(await started("followed", { rollback: { steps } }), HARMFUL);
			await aWebhook("shop", { events: ["rollout.*"] });
			await aWebhook("log");
		},
		kinds: ["roll_back"],
	},
});
