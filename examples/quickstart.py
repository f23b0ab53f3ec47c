"""Print who has to act on a verification: the README's first screen.

Run it with the secret of your webhook in the environment:

    WHOP_WEBHOOK_SECRET=ws_… flask --app examples.quickstart run
"""

from flask import Flask

from flask_whop import WhopWebhooks
from flask_whop.signals import identity_profile_needs_action

app = Flask(__name__)  # WHOP_WEBHOOK_SECRET is in app.config or in the environment
whop = WhopWebhooks(app)  # POST /webhooks/whop


@identity_profile_needs_action.connect
def ask_again(app, event, **extra):
    for verification in event.data.verifications:
        print(event.data.email, verification.last_error_reason, verification.session_url)
