"""How deliveries are run: taken in, claimed, given to their receivers, and settled."""

from flask_whop.engine.engine import Claimed as Claimed
from flask_whop.engine.engine import Engine as Engine
from flask_whop.engine.outcomes import Outcome as Outcome
from flask_whop.engine.outcomes import Status as Status
