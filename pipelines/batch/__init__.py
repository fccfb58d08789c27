"""The daily batch: from the last close to published orders, one session after the other, once each or refused with a reason."""
