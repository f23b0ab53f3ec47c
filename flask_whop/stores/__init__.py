"""What remembers which receivers are done with which delivery."""

from flask_whop.stores.memory import MemoryStore as MemoryStore
from flask_whop.stores.protocol import Claim as Claim
from flask_whop.stores.protocol import Store as Store
