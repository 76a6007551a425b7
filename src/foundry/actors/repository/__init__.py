"""Repository: coordinates one repository; its branch reservations and its task index (R3, R4)."""
