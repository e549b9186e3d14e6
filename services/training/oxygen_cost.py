"""Energy from what the body did rather than from its pulse: METs, running and walking speed, work on a
bicycle.

Used where the heart rate says little. One MET is the oxygen an adult uses sitting still, by convention 3.5
mL per kg and minute; a litre of oxygen yields about 5 kcal, which is where the 200 below comes from.
"""

from typing import Final

REST_VO2: Final = 3.5
"""Oxygen uptake at rest, mL per kg and minute: one MET by definition."""
KJ_PER_KCAL: Final = 4.184


def met_kcal_per_min(met: float, mass_kg: float) -> float:
    """kcal per minute at `met` times resting uptake. Compendium of Physical Activities 2024 gives the METs
    of activities."""
    return met * REST_VO2 * mass_kg / 200


def running_vo2(speed_m_per_min: float, grade: float = 0.0) -> float:
    """Uptake of running, mL per kg and minute; `grade` as a fraction (0.02 is 2 %). ACSM Guidelines."""
    return 0.2 * speed_m_per_min + 0.9 * speed_m_per_min * grade + REST_VO2


def walking_vo2(speed_m_per_min: float, grade: float = 0.0) -> float:
    """Uptake of walking, mL per kg and minute; `grade` as a fraction (0.02 is 2 %). ACSM Guidelines."""
    return 0.1 * speed_m_per_min + 1.8 * speed_m_per_min * grade + REST_VO2


def cycling_kcal(work_kj: float, efficiency: float = 0.24) -> float:
    """kcal burned for mechanical work at the pedals in kJ; at 24 % efficiency kJ and kcal come out nearly
    equal.

    Raises ValueError for an efficiency outside 0 (exclusive) to 1.
    """
    if not 0 < efficiency <= 1:
        raise ValueError(f"an efficiency of {efficiency} is impossible; give a fraction such as 0.24")
    return work_kj / efficiency / KJ_PER_KCAL
